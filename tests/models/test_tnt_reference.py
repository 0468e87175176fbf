"""TNT computes what the published implementations compute."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.structure import blocks
from keras_tnt.weights import convert_tnt
from keras_tnt.weights.transfer import assign_upstream, to_upstream
from tests.helpers import reference

OFFICIAL = [
    "tnt_official",
    "tnt_official_rect",
    "tnt_official_qkv_bias_gray",
    "tnt_official_se",
]


def parts(model):
    """A model that returns each block's pixels and patches, features and logits."""
    outputs = [block.output for block in blocks(model)]
    tokens = model.get_layer("norm").output
    return keras.Model(model.input, [outputs, tokens, model.output])


@pytest.mark.parametrize("case", OFFICIAL)
def test_tnt__equals_official_blocks_and_logits(case):
    expected = reference.tensors(case)
    blocks, tokens, logits = parts(reference.build(case))(reference.images(case))
    for index, (pixels, patches) in enumerate(blocks):
        stored = expected[f"block{index}.pixels"]
        np.testing.assert_allclose(
            keras.ops.reshape(pixels, stored.shape), stored, atol=1e-4
        )
        np.testing.assert_allclose(
            patches, expected[f"block{index}.patches"], atol=1e-4
        )
    np.testing.assert_allclose(tokens[:, 0], expected["features"], atol=1e-4)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4)


@pytest.mark.parametrize("case", OFFICIAL)
def test_tnt__equals_official_gradients(case):
    model, expected = reference.build(case), reference.tensors(case)
    labels = tf.constant(reference.CASES[case]["labels"])
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels, model(reference.images(case), training=True)
        )
        loss = tf.reduce_mean(losses)
    np.testing.assert_allclose(loss, expected["loss"][0], atol=1e-5)
    table = list(convert_tnt.entries(model))
    assert {id(e.variable) for e in table} == {id(v) for v in model.trainable_variables}
    gradients = tape.gradient(loss, [entry.variable.value for entry in table])

    stored = convert_tnt.standard_names(
        {
            name: value
            for name, value in reference.tensors(case, "grad.").items()
            if name != "outer_tokens"
        }
    )
    compared = set()
    for entry, gradient in zip(table, gradients, strict=True):
        for name, found in zip(
            entry.names, entry.mapping.to_upstream(gradient.numpy()), strict=True
        ):
            halves = 2 if ".qk." in name else 1  # queries and keys apart
            for ours, theirs in zip(
                np.split(found, halves), np.split(stored[name], halves), strict=True
            ):
                error = np.linalg.norm(ours - theirs)
                assert (
                    error <= 1e-3 * np.linalg.norm(theirs)
                    or np.abs(ours - theirs).max() <= 1e-6
                ), name
            compared.add(name)
    assert compared == set(stored)


def test_tnt__equals_timm_blocks_and_logits():
    expected = reference.tensors("tnt_timm")
    model = reference.build("tnt_timm")
    blocks, tokens, logits = parts(model)(reference.images("tnt_timm"))
    for index, (_, patches) in enumerate(blocks):
        stored = expected[f"intermediate{index}"].transpose(0, 2, 3, 1)
        found = keras.ops.reshape(patches[:, 1:], stored.shape)
        np.testing.assert_allclose(found, stored, atol=1e-4)
    np.testing.assert_allclose(tokens, expected["features"], atol=1e-4)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4)


@pytest.mark.parametrize(("name", "size"), [("96", (96, 96)), ("48x80", (48, 80))])
def test_tnt__equals_timm_at_another_image_size(name, size):
    expected = reference.tensors("tnt_timm_resized")
    model = reference.build("tnt_timm", load=False, input_shape=(*size, 3))
    assign_upstream(model, reference.tensors("tnt_timm", "weight."))
    positions = model.get_layer("patch_embedding").position_embedding
    np.testing.assert_allclose(positions, expected[f"patch_pos{name}"], atol=1e-4)
    logits = model(reference.images("tnt_timm_resized", f"input{name}"))
    np.testing.assert_allclose(logits, expected[f"logits{name}"], atol=1e-4)


def test_fit__equals_six_official_steps_of_adamw():
    case = "tnt_training_curve"
    expected = reference.tensors(case)
    model = reference.build(case)
    optimizer = keras.optimizers.AdamW(
        1e-3, weight_decay=0.05, beta_1=0.9, beta_2=0.999, epsilon=1e-8
    )
    optimizer.exclude_from_weight_decay(
        [v for v in model.trainable_variables if v.name != "kernel"]
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(optimizer, loss)
    labels = keras.ops.one_hot(expected["labels"], 7)
    history = model.fit(
        reference.images(case), labels, batch_size=8, epochs=6, verbose=0, shuffle=False
    )
    np.testing.assert_allclose(history.history["loss"], expected["losses"], atol=1e-4)
    for name, value in to_upstream(model).items():
        np.testing.assert_allclose(value, expected[f"final.{name}"], atol=2e-3)
