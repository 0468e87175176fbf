"""Models that compute the class token alone in their last block."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from benchmarks.xla_program import of_program
from keras_tnt.export.signatures import Signatures
from keras_tnt.structure import class_token_alone, complexity
from tests.helpers.small import dense_classifier, pixels, small, small_pyramid

KINDS = {
    "tnt": {},
    "any_size": {"input_shape": (None, None, 3)},
    "remat": {"remat": True},
    "squeeze_excitation": {"se_ratio": 0.25, "qkv_bias": True},
    "no_inner_transformer": {"inner_blocks": [1]},
    "no_inner_transformer_remat": {"inner_blocks": [1], "remat": True},
    "features": {"include_top": False, "pooling": "token"},
}
IMAGE = (32, 48, 3)
# Scores, attended values, projection and MLP of six of seven tokens of width 48.
SAVED = 6 * (2 * 7 * 48 + 48 * 48 + 8 * 48 * 48)


def classifier(**arguments):
    logits = {} if "include_top" in arguments else {"classifier_activation": None}
    return small(**logits, **arguments)


def whole(model):
    """A model of the same graph that computes all tokens."""
    return keras.Model(model.input, model.output)


def noise(batch=3):
    return np.random.default_rng(1).uniform(0, 255, (batch, *IMAGE)).astype("float32")


def results(model, variables, training):
    """Outputs, and gradients of a loss of them."""
    with tf.GradientTape() as tape:
        outputs = model(noise(), training=training)
        loss = tf.reduce_sum(tf.sin(outputs))
    return [outputs, *tape.gradient(loss, variables)]


@pytest.mark.parametrize("kind", KINDS)
def test_class_token_alone__outputs_and_gradients(kind):
    model = classifier(**KINDS[kind])
    variables = [weight.value for weight in model.trainable_weights]
    for training in (False, True):
        expected = results(whole(model), variables, training)
        for reduced in (model, class_token_alone(whole(model))):
            found = results(reduced, variables, training)
            for value, right in zip(found, expected, strict=True):
                np.testing.assert_allclose(value, right, rtol=1e-4, atol=1e-5)


def multiply_adds(function):
    compiled = tf.function(function, jit_compile=True)
    program = compiled.experimental_get_compiler_ir(tf.zeros((1, *IMAGE)))
    return of_program(program(stage="hlo"))


@pytest.mark.parametrize("kind", KINDS)
def test_class_token_alone__multiply_adds(kind):
    """Fewer by those of the other tokens, if squeeze-and-excitation needs none."""
    model = classifier(**KINDS[kind])
    saved = 0 if kind == "squeeze_excitation" else SAVED
    assert multiply_adds(model) == multiply_adds(whole(model)) - saved


@pytest.mark.parametrize("kind", ["tnt", "any_size"])
def test_class_token_alone__after_reloading_and_cloning(kind, tmp_path):
    model = classifier(**KINDS[kind])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    cloned = keras.models.clone_model(loaded)
    cloned.set_weights(model.get_weights())
    other = keras_tnt.reset_classifier(model, 7, classifier_activation=None)
    other.layers[-1].set_weights(model.layers[-1].get_weights())
    for copy in (loaded, cloned, other):
        np.testing.assert_allclose(copy(noise()), model(noise()), atol=1e-5)
        assert multiply_adds(copy) == multiply_adds(whole(copy)) - SAVED


def test_class_token_alone__other_outputs_get_all_tokens():
    model = classifier()
    tokens = model.get_layer("norm").output
    both = keras.Model(model.input, [model.output, tokens])
    found = class_token_alone(both)(noise())
    for value, right in zip(found, both(noise()), strict=True):
        np.testing.assert_allclose(value, right, rtol=1e-4, atol=1e-5)
    assert found[1].shape == (3, 7, 48)


@pytest.mark.parametrize(
    "build",
    [
        lambda: small(include_top=False, pooling="avg"),
        lambda: small(include_top=False, pooling="max"),
        lambda: small(include_top=False),
        lambda: small(include_top=False, input_shape=(None, None, 3)),
        small_pyramid,
        dense_classifier,
    ],
)
def test_class_token_alone__models_of_other_tokens_stay(build):
    model = build()
    assert class_token_alone(model) is model


@pytest.mark.parametrize(
    "read",
    [
        lambda tokens: tokens[:, 1],
        lambda tokens: tokens[:, -1],
        lambda tokens: tokens[:, :1],
        lambda tokens: tokens[1:, 0],
        lambda tokens: keras.layers.Cropping1D((1, 5))(tokens),
        lambda tokens: keras.layers.Cropping1D((0, 5))(tokens),
        lambda tokens: keras.ops.mean(tokens, axis=1),
    ],
)
def test_class_token_alone__head_that_reads_other_tokens(read):
    tnt = small(include_top=False, pooling="token")
    model = keras.Model(tnt.input, read(tnt.get_layer("norm").output))
    assert class_token_alone(model) is model


@pytest.mark.filterwarnings(
    "ignore:(Layer .* does not have a|.model.quantize):UserWarning"
)
def test_class_token_alone__lora_and_int8():
    adapted = classifier()
    keras_tnt.enable_lora(adapted, 2)
    for weight in adapted.trainable_weights:
        weight.assign(weight + 0.05)
    quantized = classifier()
    quantized.quantize("int8")
    for model in (adapted, quantized):
        assert np.abs(model(noise()) - classifier()(noise())).max() > 1e-3
        np.testing.assert_allclose(model(noise()), whole(model)(noise()), atol=1e-4)


def test_class_token_alone__weights_and_layers_stay():
    model = classifier()
    names = [layer.name for layer in whole(model).layers]
    assert [layer.name for layer in model.layers] == names
    assert model.count_params() == whole(model).count_params()
    assert len({weight.path for weight in model.weights}) == len(model.weights)


def test_class_token_alone__in_signatures():
    model = small()
    functions = Signatures(model, list("abcdefg"), 3, 0.9).functions
    expected = complexity(model).multiply_adds - SAVED
    assert multiply_adds(functions["predict_images"]) == expected


def test_class_token_alone__trained_and_predicted():
    model = small()
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    other = small()
    other = whole(other)
    other.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    labels = np.array([0, 1, 2])
    for each in (model, other):
        each.fit(pixels(model).astype("float32"), labels, epochs=2, verbose=0)
    for found, expected in zip(model.weights, other.weights, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    predictions = [each.predict(pixels(model), verbose=0) for each in (model, other)]
    np.testing.assert_allclose(*predictions, atol=1e-5)
