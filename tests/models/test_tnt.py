"""The builders: sizes, arguments, and the shared checks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_tnt
from keras_tnt.layers import TNTBlock, TransformerBlock
from tests.helpers import reference
from tests.helpers.checks import check_model

SMALL = {"outer_dim": 48, "inner_dim": 12, "depth": 2, "outer_num_heads": 3}


def small(**arguments):
    defaults = {"classes": 7, "input_shape": (32, 48, 3)}
    return keras_tnt.TNT(**(SMALL | defaults | arguments))


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({}, 91_879),
        ({"se_ratio": 0.25, "qkv_bias": True}, 94_855),
        pytest.param({"inner_blocks": (2,)}, 80_335, marks=pytest.mark.slow),
        pytest.param(
            {"patch_size": 8, "inner_stride": 2, "input_shape": (16, 24, 1)},
            90_703,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_small_models_pass_the_checks(arguments, parameters, tmp_path):
    check_model(lambda **more: small(**(arguments | more)), parameters, tmp_path)


@pytest.mark.parametrize(
    ("builder", "arguments", "parameters"),
    [
        (keras_tnt.TNTTiny, {}, 6_076_408),
        (keras_tnt.TNTSmall, {}, 23_768_584),
        (keras_tnt.TNTBase, {}, 65_428_680),
        (keras_tnt.TNTSmall, {"se_ratio": 0.25}, 24_668_296),
    ],
)
def test_published_sizes(builder, arguments, parameters):
    model = builder(weights=None, **arguments)
    assert model.count_params() == parameters
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1000)


def test_weight_names_are_for_ever():
    """Whoever changes one of these breaks every saved model and recipe."""
    model = small(depth=1, se_ratio=0.25, qkv_bias=True)
    assert [weight.path for weight in model.weights] == WEIGHT_PATHS


def test_same_values_under_xla():
    images = reference.images("tnt_official")
    model = reference.build("tnt_official")
    plain = model.predict(images, verbose=0)
    model.compile(jit_compile=True)
    np.testing.assert_allclose(model.predict(images, verbose=0), plain, atol=1e-5)


def test_preprocessing_scales_pixel_values(rng):
    scaled = small(include_preprocessing=False)
    model = small()
    model.set_weights(scaled.get_weights())
    pixels = rng.integers(0, 256, (2, 32, 48, 3), "uint8")
    expected = scaled(pixels / np.float32(127.5) - 1)
    for values in (pixels, pixels.astype("float32"), tf.constant(pixels)):
        np.testing.assert_allclose(model(values), expected, atol=1e-5)
        np.testing.assert_allclose(
            model.predict(values, verbose=0), expected, atol=1e-5
        )


@pytest.mark.parametrize("channels", [1, 3, 4, 12])
def test_any_number_of_channels(channels):
    shape = (32, 48, channels)
    for preprocessing in (True, False):
        model = small(input_shape=shape, include_preprocessing=preprocessing)
        assert model(np.ones((1, *shape))).shape == (1, 7)


@settings(max_examples=10, deadline=None)
@given(rows=st.integers(1, 4), columns=st.integers(1, 4), patch=st.integers(5, 20))
def test_any_image_of_whole_patches(rows, columns, patch):
    shape = (rows * patch, columns * patch, 3)
    model = small(patch_size=patch, input_shape=shape, include_top=False, depth=1)
    assert model(np.ones((2, *shape))).shape == (2, rows, columns, 48)


def test_features_come_after_the_final_norm(rng):
    pixels = rng.integers(0, 256, (2, 32, 48, 3), "uint8")
    tokens = None
    for pooling in (None, "token", "avg", "max"):
        model = small(include_top=False, pooling=pooling)
        if tokens is None:
            weights = model.get_weights()
            norm = keras.Model(model.input, model.get_layer("norm").output)
            tokens = norm(pixels).numpy()
            expected = {
                None: tokens[:, 1:].reshape(2, 2, 3, 48),
                "token": tokens[:, 0],
                "avg": tokens[:, 1:].mean(axis=1),
                "max": tokens[:, 1:].max(axis=1),
            }
        model.set_weights(weights)
        np.testing.assert_allclose(model(pixels), expected[pooling], atol=1e-5)


def test_inner_blocks_choose_where_the_inner_transformers_are():
    model = small(depth=4, inner_blocks=(1, 4))
    kinds = [type(model.get_layer(f"block_{block}")) for block in range(1, 5)]
    assert kinds == [TNTBlock, TransformerBlock, TransformerBlock, TNTBlock]
    plain = small(inner_blocks=())
    assert not [layer for layer in plain.layers if isinstance(layer, TNTBlock)]


def test_drop_path_grows_linearly():
    model = small(depth=5, drop_path_rate=0.2)
    rates = [model.get_layer(f"block_{b}").drop_path_rate for b in range(1, 6)]
    np.testing.assert_allclose(rates, [0, 0.05, 0.1, 0.15, 0.2])
    assert small(depth=1, drop_path_rate=0.2).get_layer("block_1").drop_path_rate == 0


def test_initial_values_are_those_of_the_published_code():
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


def test_input_tensor_joins_the_graph_before_it(rng):
    images = keras.Input((64, 96, 3), name="large")
    model = small(input_tensor=keras.layers.AveragePooling2D(2)(images))
    assert model.inputs[0] is images
    assert model.predict(rng.random((2, 64, 96, 3)), verbose=0).shape == (2, 7)
    assert small(input_tensor=keras.Input((32, 48, 3)), input_shape=None).built


def test_a_model_is_a_layer_of_another():
    images = keras.Input((32, 48, 3))
    backbone = small(include_top=False, pooling="token", name="backbone")
    backbone.trainable = False
    model = keras.Model(images, keras.layers.Dense(5)(backbone(images)))
    assert len(model.trainable_weights) == 2
    assert model(np.ones((2, 32, 48, 3))).shape == (2, 5)


def test_low_rank_adaptation_and_freezing_work_on_the_projections(rng):
    model = small()
    pixels = rng.integers(0, 256, (2, 32, 48, 3), "uint8")
    before = model.predict(pixels, verbose=0)
    for variable in model.trainable_variables:
        variable.trainable = False
    for block in ("block_1", "block_2"):
        model.get_layer(block).outer.attention.qkv.enable_lora(2)
    assert len(model.trainable_weights) == 4
    np.testing.assert_allclose(model.predict(pixels, verbose=0), before, atol=1e-6)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(pixels, np.array([1, 2]), epochs=2, verbose=0)
    assert np.abs(model.predict(pixels, verbose=0) - before).max() > 1e-4


def test_a_model_trained_in_part_is_loaded_as_it_was_saved(rng, tmp_path):
    model = small(classes=5)
    for layer in model.layers:
        layer.trainable = layer.name in ("block_2", "predictions")
    model.get_layer("block_2").outer.attention.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    pixels = rng.integers(0, 256, (2, 32, 48, 3), "uint8")
    model.fit(pixels, np.array([1, 2]), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    trained = [variable.path for variable in model.trainable_variables]
    assert [variable.path for variable in loaded.trainable_variables] == trained
    assert "block_2/outer/feed_forward/output_dense/kernel" in trained
    assert not any("attention/" in path for path in trained if "outer" in path)
    assert len(loaded.optimizer.variables) == 2 + 2 * len(trained)
    loaded.fit(pixels, np.array([1, 2]), verbose=0)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`:UserWarning")
def test_quantizes_to_int8(rng, tmp_path):
    model = small()
    pixels = rng.integers(0, 256, (8, 32, 48, 3), "uint8")
    before = model.predict(pixels, verbose=0)
    model.quantize("int8")
    dense = model.get_layer("block_1").inner.attention.qkv
    assert dense.kernel.dtype == "int8"
    found = model.predict(pixels, verbose=0)
    np.testing.assert_allclose(found, before, atol=0.02)
    model.save(tmp_path / "int8.keras")
    reloaded = keras.saving.load_model(tmp_path / "int8.keras")
    np.testing.assert_array_equal(reloaded.predict(pixels, verbose=0), found)


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
        ({"input_shape": (33, 48, 3)}, "multiples of patch_size=16, got 33x48"),
        ({"input_shape": (None, None, 3)}, "static size"),
        ({"input_shape": (0, 48, 3)}, "multiples of patch_size=16, got 0x48"),
        ({"input_shape": (32, 48)}, "expected images"),
        ({"weights": "imagenet"}, "use keras_tnt.TNTSmall"),
        ({"weights": "nowhere.safetensors"}, "no weight file 'nowhere.safetensors'"),
        ({"weights": "notes.txt"}, "no weight file"),
        ({"dropout_rate": 1.5}, "between 0 and 1"),
        ({"drop_path_rate": -0.5}, "between 0 and 1"),
        ({"classes": 0}, "units"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        small(**arguments)


def test_input_tensor_and_shape_must_agree():
    with pytest.raises(ValueError, match="input_shape is"):
        small(input_tensor=keras.Input((64, 48, 3)))


def test_input_tensor_must_be_symbolic():
    with pytest.raises(ValueError, match=r"must be a Keras tensor.*got ndarray"):
        small(input_tensor=np.ones((1, 32, 48, 3)))


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(
            ValueError, match='set_image_data_format\\("channels_last"\\)'
        ):
            small()
    finally:
        keras.config.set_image_data_format("channels_last")


def test_sizes_without_published_weights_say_so():
    with pytest.raises(ValueError, match=r"no published weights.*weights=None"):
        keras_tnt.TNTTiny()


def _paths():
    norm = ("gamma", "beta")
    block = [
        *[f"attention_norm/{w}" for w in norm],
        "attention/qkv/kernel",
        "attention/qkv/bias",
        "attention/projection/kernel",
        "attention/projection/bias",
        *[f"feed_forward_norm/{w}" for w in norm],
        "feed_forward/intermediate_dense/kernel",
        "feed_forward/intermediate_dense/bias",
        "feed_forward/output_dense/kernel",
        "feed_forward/output_dense/bias",
    ]
    excitation = [
        *[f"norm/{w}" for w in norm],
        "reduce_dense/kernel",
        "reduce_dense/bias",
        "expand_dense/kernel",
        "expand_dense/bias",
    ]
    return [
        "pixel_embedding/position_embedding",
        "pixel_embedding/projection/kernel",
        "pixel_embedding/projection/bias",
        "patch_embedding/class_token",
        "patch_embedding/position_embedding",
        *[f"patch_embedding/input_norm/{w}" for w in norm],
        "patch_embedding/projection/kernel",
        "patch_embedding/projection/bias",
        *[f"patch_embedding/output_norm/{w}" for w in norm],
        *[f"block_1/inner/{path}" for path in block],
        *[f"block_1/fold_input_norm/{w}" for w in norm],
        *[f"block_1/fold_output_norm/{w}" for w in norm],
        *[f"block_1/outer/{path}" for path in block],
        *[f"block_1/outer/squeeze_excitation/{path}" for path in excitation],
        "block_1/fold_dense/kernel",
        *[f"norm/{w}" for w in norm],
        "predictions/kernel",
        "predictions/bias",
    ]


WEIGHT_PATHS = _paths()
