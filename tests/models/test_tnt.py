"""The TNT builders: sizes, arguments, and the shared checks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_tnt
from keras_tnt.layers import TNTBlock, TransformerBlock
from keras_tnt.layers.dropout import Dropout
from tests.helpers import reference
from tests.helpers.checks import check_model
from tests.helpers.small import build_tnt


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({}, 91_879),
        pytest.param(
            {"se_ratio": 0.25, "qkv_bias": True}, 94_855, marks=pytest.mark.slow
        ),
        pytest.param({"inner_blocks": (2,)}, 80_335, marks=pytest.mark.extra_large),
        pytest.param(
            {"patch_size": 8, "inner_stride": 2, "input_shape": (16, 24, 1)},
            90_703,
            marks=pytest.mark.extra_large,
        ),
    ],
)
def test_tnt__passes_the_checks(arguments, parameters, tmp_path):
    check_model(lambda **more: build_tnt(**(arguments | more)), parameters, tmp_path)


@pytest.mark.parametrize(
    ("builder", "arguments", "parameters", "gmacs"),
    [
        (keras_tnt.TNTTiny, {}, 6_076_408, 1.4),
        (keras_tnt.TNTSmall, {}, 23_768_584, 5.2),
        pytest.param(keras_tnt.TNTBase, {}, 65_428_680, 14.1, marks=pytest.mark.slow),
        (keras_tnt.TNTSmall, {"se_ratio": 0.25}, 24_668_296, 5.2),
    ],
)
def test_variants__published_sizes(builder, arguments, parameters, gmacs):
    model = builder(weights=None, **arguments)
    assert model.count_params() == parameters
    found = keras_tnt.complexity(model)
    assert found.parameters == parameters
    assert found.multiply_adds == pytest.approx(gmacs * 1e9, abs=0.06e9)
    if builder is keras_tnt.TNTSmall and not arguments:
        assert found.multiply_adds == 5_216_875_008
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1000)


@pytest.mark.slow
def test_tnt__same_values_under_xla():
    images = reference.images("tnt_official")
    model = reference.build("tnt_official")
    plain = model.predict(images, verbose=0)
    model.compile(jit_compile=True)
    np.testing.assert_allclose(model.predict(images, verbose=0), plain, atol=1e-5)


def test_tnt__preprocessing_scales_images(rng):
    scaled = build_tnt(include_preprocessing=False)
    model = build_tnt()
    model.set_weights(scaled.get_weights())
    images = rng.integers(0, 256, (2, 32, 48, 3), "uint8")
    expected = scaled(images / np.float32(127.5) - 1)
    for values in (images, images.astype("float32"), tf.constant(images)):
        np.testing.assert_allclose(model(values), expected, atol=1e-5)
        np.testing.assert_allclose(
            model.predict(values, verbose=0), expected, atol=1e-5
        )


@pytest.mark.parametrize("channels", [1, 3, 4, 12])
def test_tnt__any_number_of_channels(channels):
    shape = (32, 48, channels)
    for preprocessing in (True, False):
        model = build_tnt(input_shape=shape, include_preprocessing=preprocessing)
        assert model(np.ones((1, *shape))).shape == (1, 7)


@settings(max_examples=10, deadline=None)
@given(rows=st.integers(1, 4), columns=st.integers(1, 4), patch=st.integers(5, 20))
def test_tnt__any_image_of_whole_patches(rows, columns, patch):
    shape = (rows * patch, columns * patch, 3)
    model = build_tnt(patch_size=patch, input_shape=shape, include_top=False, depth=1)
    assert model(np.ones((2, *shape))).shape == (2, rows, columns, 48)


def test_tnt__features_follow_final_norm(rng):
    images = rng.integers(0, 256, (2, 32, 48, 3), "uint8")
    tokens = None
    for pooling in (None, "token", "avg", "max"):
        model = build_tnt(include_top=False, pooling=pooling)
        if tokens is None:
            weights = model.get_weights()
            norm = keras.Model(model.input, model.get_layer("norm").output)
            tokens = norm(images).numpy()
            expected = {
                None: tokens[:, 1:].reshape(2, 2, 3, 48),
                "token": tokens[:, 0],
                "avg": tokens[:, 1:].mean(axis=1),
                "max": tokens[:, 1:].max(axis=1),
            }
        model.set_weights(weights)
        np.testing.assert_allclose(model(images), expected[pooling], atol=1e-5)


def test_tnt__inner_blocks_place_inner_transformers():
    model = build_tnt(depth=4, inner_blocks=(1, 4))
    kinds = [type(model.get_layer(f"block_{block}")) for block in range(1, 5)]
    assert kinds == [TNTBlock, TransformerBlock, TransformerBlock, TNTBlock]
    plain = build_tnt(inner_blocks=())
    assert not [layer for layer in plain.layers if isinstance(layer, TNTBlock)]


def test_tnt__drop_path_grows_linearly():
    model = build_tnt(depth=5, drop_path_rate=0.2)
    rates = [model.get_layer(f"block_{b}").drop_path_rate for b in range(1, 6)]
    np.testing.assert_allclose(rates, [0, 0.05, 0.1, 0.15, 0.2])
    assert (
        build_tnt(depth=1, drop_path_rate=0.2).get_layer("block_1").drop_path_rate == 0
    )


def test_tnt__initial_values_equal_official():
    model = keras_tnt.TNTTiny(weights=None)
    for weight in model.weights:
        value = weight.numpy()
        if weight.path.startswith("pixel_embedding/projection"):
            limit = (49 * 3) ** -0.5
            assert 0.8 * limit < np.abs(value).max() <= limit
        elif weight.name in ("kernel", "position_embedding", "class_token"):
            assert abs(value.std() / 0.02 - 1) < 0.25, weight.path
        else:
            assert np.all(value == (weight.name == "gamma")), weight.path
    kernels = [
        w.numpy()
        for w in model.weights
        if w.path.endswith("inner/attention/qkv/kernel")
    ]
    assert len({kernel.tobytes() for kernel in kernels}) == 12


def test_tnt__input_tensor_extends_its_graph(rng):
    images = keras.Input((64, 96, 3), name="large")
    model = build_tnt(input_tensor=keras.layers.AveragePooling2D(2)(images))
    assert model.inputs[0] is images
    assert model.predict(rng.random((2, 64, 96, 3)), verbose=0).shape == (2, 7)
    assert build_tnt(input_tensor=keras.Input((32, 48, 3)), input_shape=None).built


def test_tnt__is_a_layer_of_another_model():
    images = keras.Input((32, 48, 3))
    backbone = build_tnt(include_top=False, pooling="token", name="backbone")
    backbone.trainable = False
    model = keras.Model(images, keras.layers.Dense(5)(backbone(images)))
    assert len(model.trainable_weights) == 2
    assert model(np.ones((2, 32, 48, 3))).shape == (2, 5)


def test_tnt__lora_and_freezing_of_projections(rng):
    model = build_tnt()
    images = rng.integers(0, 256, (2, 32, 48, 3), "uint8")
    before = model.predict(images, verbose=0)
    for variable in model.trainable_variables:
        variable.trainable = False
    for block in ("block_1", "block_2"):
        model.get_layer(block).outer.attention.qkv.enable_lora(2)
    assert len(model.trainable_weights) == 4
    np.testing.assert_allclose(model.predict(images, verbose=0), before, atol=1e-6)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(images, np.array([1, 2]), epochs=2, verbose=0)
    assert np.abs(model.predict(images, verbose=0) - before).max() > 1e-4


@pytest.mark.slow
def test_load_model__keeps_frozen_layers_and_optimizer(rng, tmp_path):
    model = build_tnt(classes=5)
    for layer in model.layers:
        layer.trainable = layer.name in ("block_2", "predictions")
    model.get_layer("block_2").outer.attention.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    images = rng.integers(0, 256, (2, 32, 48, 3), "uint8")
    model.fit(images, np.array([1, 2]), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    trained = [variable.path for variable in model.trainable_variables]
    assert [variable.path for variable in loaded.trainable_variables] == trained
    assert "block_2/outer/feed_forward/output_dense/kernel" in trained
    assert not any("attention/" in path for path in trained if "outer" in path)
    assert len(loaded.optimizer.variables) == 2 + 2 * len(trained)
    loaded.fit(images, np.array([1, 2]), verbose=0)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:(Layer .* does not have a|.model.quantize):UserWarning"
)
def test_quantize__int8(rng, tmp_path):
    model = build_tnt()
    images = rng.integers(0, 256, (8, 32, 48, 3), "uint8")
    before = model.predict(images, verbose=0)
    model.quantize("int8")
    dense = model.get_layer("block_1").inner.attention.qkv
    assert dense.kernel.dtype == "int8"
    found = model.predict(images, verbose=0)
    np.testing.assert_allclose(found, before, atol=0.02)
    model.save(tmp_path / "int8.keras")
    reloaded = keras.saving.load_model(tmp_path / "int8.keras")
    np.testing.assert_array_equal(reloaded.predict(images, verbose=0), found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"outer_num_heads": 5},
            "outer_dim must be .* outer_dim=48 .* outer_num_heads=5",
        ),
        (
            {"inner_num_heads": 5},
            "inner_dim must be .* inner_dim=12 .* inner_num_heads=5",
        ),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"inner_blocks": (0, 2, 3)}, r"from 1 to depth=2, got \[0, 3\]"),
        ({"pooling": "mean"}, "pooling must be one of .*, got 'mean'"),
        ({"input_shape": (33, 48, 3)}, "multiples of 16, got 33x48"),
        ({"input_shape": (32, 48, None)}, "static size"),
        ({"input_shape": (0, 48, 3)}, "multiples of 16, got 0x48"),
        ({"input_shape": (32, 48)}, "expected images"),
        ({"weights": "imagenet"}, "use keras_tnt.TNTSmall"),
        ({"weights": "nowhere.safetensors"}, "no weight file 'nowhere.safetensors'"),
        ({"weights": "notes.txt"}, "no weight file"),
        ({"dropout_rate": 1.5}, "between 0 and 1"),
        ({"attention_dropout_rate": 1.5}, "between 0 and 1"),
        ({"head_dropout_rate": -0.1}, "between 0 and 1"),
        ({"drop_path_rate": -0.5}, "between 0 and 1"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
    ],
)
def test_tnt__refuses_bad_arguments(arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        build_tnt(**arguments)


def test_tnt__refuses_other_input_shape_than_tensor():
    with pytest.raises(ValueError, match="input_shape is"):
        build_tnt(input_tensor=keras.Input((64, 48, 3)))


def test_tnt__refuses_values_as_input_tensor():
    with pytest.raises(ValueError, match=r"must be a Keras tensor.*got ndarray"):
        build_tnt(input_tensor=np.ones((1, 32, 48, 3)))


def test_tnt__refuses_channels_first():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(
            ValueError, match='set_image_data_format\\("channels_last"\\)'
        ):
            build_tnt()
    finally:
        keras.config.set_image_data_format("channels_last")


def test_variants__refuse_imagenet_without_weights():
    with pytest.raises(ValueError, match=r"no published weights.*weights=None"):
        keras_tnt.TNTTiny(weights="imagenet")


def test_tnt__dropout_rates_are_separate():
    model = build_tnt(
        dropout_rate=0.1,
        attention_dropout_rate=0.2,
        head_dropout_rate=0.3,
        inner_blocks=(1,),
    )
    rates = {}
    for layer in model._flatten_layers():
        if isinstance(layer, Dropout) and "drop_path" not in layer.name:
            rates.setdefault(layer.name, set()).add(layer.rate)
    assert rates == {
        "dropout": {0.1},  # of the tokens, and after the projections
        "attention_dropout": {0.2},
        "intermediate_dropout": {0.1},
        "output_dropout": {0.1},
        "head_dropout": {0.3},
    }
