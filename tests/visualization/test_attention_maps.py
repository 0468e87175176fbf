"""Attention maps: their shapes, their values, and a model that stays as it was."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

import keras_tnt
from tests.helpers import reference
from tests.helpers.small import BOTH, pixels, small, small_pyramid

CASES = [
    "tnt_official",
    "tnt_official_rect",
    "tnt_official_qkv_bias_gray",
    "tnt_official_se",
]


def shapes(part):
    return {block: value.shape for block, value in part.items()}


def check_maps(maps):
    for value in (*maps.outer.values(), *maps.inner.values()):
        assert isinstance(value, np.ndarray)
        assert value.dtype == "float32"
        assert value.min() >= 0
        np.testing.assert_allclose(value.sum(axis=-1), 1, atol=1e-6)


def check_same_maps(found, expected):
    for part in ("outer", "inner"):
        values, wanted = getattr(found, part), getattr(expected, part)
        assert values.keys() == wanted.keys()
        for block, value in wanted.items():
            np.testing.assert_allclose(values[block], value, atol=1e-5)
    assert found[2:] == expected[2:]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    ("inner_blocks", "inner"), [(None, (1, 2, 3)), ((1, 3), (1, 3)), ((), ())]
)
def test_attention_maps__shapes(inner_blocks, inner, batch):
    model = small(depth=3, inner_blocks=inner_blocks)
    maps = keras_tnt.attention_maps(model, pixels(model, batch))
    assert shapes(maps.outer) == dict.fromkeys((1, 2, 3), (batch, 3, 7, 7))
    assert shapes(maps.inner) == dict.fromkeys(inner, (batch, 6, 4, 16, 16))
    assert maps.grids == dict.fromkeys((1, 2, 3), (2, 3))
    assert maps.sr_ratios == dict.fromkeys((1, 2, 3), 1)
    check_maps(maps)


def test_attention_maps__shapes_of_pyramid():
    """12x15 patches at first: they are no whole number of squares of four or two."""
    model = small_pyramid(depths=(2, 7, 1, 1), input_shape=(96, 120, 3))
    maps = keras_tnt.attention_maps(model, pixels(model, 2))
    grids = {1: (12, 15), 2: (6, 8), 3: (3, 4), 4: (2, 2)}  # by stage
    stages = [1] * 2 + [2] * 7 + [3, 4]
    heads = {1: 2, 2: 4, 3: 8, 4: 8}
    keys = {1: 3 * 3, 2: 3 * 4, 3: 3 * 4, 4: 2 * 2}
    counts = {stage: rows * columns for stage, (rows, columns) in grids.items()}
    assert shapes(maps.outer) == {
        block: (2, heads[stage], counts[stage], keys[stage])
        for block, stage in enumerate(stages, start=1)
    }
    # The first block of a stage has an inner transformer, of seven the first two.
    assert shapes(maps.inner) == {
        1: (2, 180, 1, 16, 16),
        3: (2, 48, 2, 16, 16),
        4: (2, 48, 2, 16, 16),
        10: (2, 12, 4, 16, 16),
        11: (2, 4, 4, 16, 16),
    }
    assert list(maps.grids.values()) == [grids[stage] for stage in stages]
    assert list(maps.sr_ratios.values()) == [4] * 2 + [2] * 7 + [1, 1]
    check_maps(maps)


@pytest.mark.parametrize("build", BOTH)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_attention_maps__mixed_precision(policy, build):
    exact = build()
    images = pixels(exact)
    expected = keras_tnt.attention_maps(exact, images)
    keras.config.set_dtype_policy(policy)
    maps = keras_tnt.attention_maps(build(), images)
    check_maps(maps)
    for found, wanted in zip(maps[:2], expected[:2], strict=True):
        for block, value in wanted.items():
            assert np.abs(found[block] - value).mean() < 0.02


def norm(tokens, weights, name):
    centered = tokens - tokens.mean(axis=-1, keepdims=True)
    scaled = centered / np.sqrt(tokens.var(axis=-1, keepdims=True) + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def scores(tokens, weights, name, heads):
    """Softmax of scaled products of queries and keys, from the published tensors."""
    projected = tokens @ weights[f"{name}.qk.weight"].T
    projected = projected + weights.get(f"{name}.qk.bias", 0)
    batch, count, _ = tokens.shape
    query, key = np.moveaxis(projected.reshape(batch, count, 2, heads, -1), 2, 0)
    products = np.einsum("bqhc,bkhc->bhqk", query, key)
    return softmax(products / np.sqrt(query.shape[-1]), axis=-1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("block", [2, 3])
def test_attention_maps__by_hand(case, block):
    """What the published code had between its blocks, which it counts from 0."""
    stored, config = reference.tensors(case), reference.CASES[case]["config"]
    weights = reference.tensors(case, f"weight.blocks.{block - 1}.")
    before, after = f"block{block - 2}", f"block{block - 1}"
    inner = scores(
        norm(stored[f"{before}.pixels"], weights, "inner_norm1"),
        weights,
        "inner_attn",
        config["inner_num_heads"],
    )
    patches = stored[f"{before}.patches"].copy()
    batch, tokens, _ = patches.shape
    flat = stored[f"{after}.pixels"].reshape(batch, tokens - 1, -1)
    folded = norm(flat, weights, "proj_norm1") @ weights["proj.weight"].T
    patches[:, 1:] += norm(folded, weights, "proj_norm2")
    outer = scores(
        norm(patches, weights, "outer_norm1"),
        weights,
        "outer_attn",
        config["outer_num_heads"],
    )

    maps = keras_tnt.attention_maps(reference.build(case), reference.images(case))
    found = maps.inner[block]
    np.testing.assert_allclose(found.reshape(inner.shape), inner, atol=1e-5)
    np.testing.assert_allclose(maps.outer[block], outer, atol=1e-5)


def graph_ops(model):
    """The operations of the model's graph, which decide how fast it is."""
    signature = tf.TensorSpec((None, *model.input_shape[1:]), "float32")
    function = tf.function(lambda images: model(images), input_signature=[signature])
    return [op.type for op in function.get_concrete_function().graph.get_operations()]


@pytest.mark.parametrize("build", BOTH)
def test_attention_maps__model_unchanged(build):
    model = build(dropout_rate=0.1, drop_path_rate=0.1)
    images = pixels(model)
    ops = graph_ops(model)
    config, outputs = model.get_config(), model.outputs[0]
    weights, probabilities = model.get_weights(), model.predict(images, verbose=0)
    first = keras_tnt.attention_maps(model, images)
    second = keras_tnt.attention_maps(model, images)  # no dropout in either
    for part, again in zip(first[:2], second[:2], strict=True):
        for block, value in part.items():
            np.testing.assert_array_equal(value, again[block])
    assert graph_ops(model) == ops
    assert model.get_config() == config
    assert model.outputs[0] is outputs
    for value, before in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(value, before)
    np.testing.assert_array_equal(model.predict(images, verbose=0), probabilities)


@pytest.mark.parametrize("build", BOTH)
def test_attention_maps__images_independent(build):
    model = build()
    images = pixels(model)
    together = keras_tnt.attention_maps(model, images)
    alone = keras_tnt.attention_maps(model, images[1:2].astype("float32"))
    for part, single in zip(together[:2], alone[:2], strict=True):
        for block, value in part.items():
            if value.shape[-1] > 1:  # else all are 1
                np.testing.assert_allclose(value[1:2], single[block], atol=1e-5)
                assert np.abs(value[0] - value[1]).max() > 1e-3


def test_attention_maps__extended_model():
    model = small()
    images = pixels(model)
    expected = keras_tnt.attention_maps(model, images)
    head = keras.layers.Dense(2, name="own")(model.get_layer("norm").output[:, 0])
    grown = keras.Model(model.input, head)

    photos = keras.Input((64, 96, 3))
    joined = small(input_tensor=keras.layers.AveragePooling2D(2)(photos))
    large = images.repeat(2, axis=1).repeat(2, axis=2).astype("float32")

    for maps in (
        keras_tnt.attention_maps(grown, images),
        keras_tnt.attention_maps(joined, large),
    ):
        check_same_maps(maps, expected)


@pytest.mark.parametrize("build", BOTH)
def test_attention_maps__nested_tnt(build):
    """Two models deep, behind a layer that halves the images."""
    tnt = build(include_top=False, pooling="avg")
    images = pixels(tnt)
    height, width, channels = tnt.input_shape[1:]
    photos = keras.Input((2 * height, 2 * width, channels))
    middle = keras.Model(photos, tnt(keras.layers.AveragePooling2D(2)(photos)))
    model = keras.Sequential([middle, keras.layers.Dense(2)])
    large = images.repeat(2, axis=1).repeat(2, axis=2).astype("float32")
    found = keras_tnt.attention_maps(model, large)
    check_same_maps(found, keras_tnt.attention_maps(tnt, images))


def test_attention_maps__no_tnt():
    images = keras.Input((32, 48, 3))
    plain = keras.Model(images, keras.layers.Flatten()(images), name="plain")
    with pytest.raises(ValueError, match=r"'plain' has no layer of either"):
        keras_tnt.attention_maps(plain, pixels(plain))
