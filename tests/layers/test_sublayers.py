"""What is frozen or quantized in sublayers is so again after reloading."""

import json

import keras
import numpy as np
import pytest

from keras_tnt import layers
from tests.helpers.small import pixels, small, small_pyramid

IGNORED = "ignore:Layer .* does not have a `quantize`:UserWarning"


def freeze_parts(model):
    """Freeze sublayers at several depths, and single weights."""
    model.get_layer("block_1").outer.attention.trainable = False
    model.get_layer("block_1").inner.feed_forward.output_dense.trainable = False
    model.get_layer("pixel_embedding").projection.trainable = False
    model.get_layer("patch_embedding").position_embedding.trainable = False


def freeze_above_then_train_below(model):
    model.trainable = False
    model.trainable = True
    model.get_layer("block_1").trainable = False
    model.get_layer("block_1").outer.attention.trainable = True
    model.get_layer("norm").trainable = False


def quantize(model):
    model.quantize("int8")
    model.get_layer("block_1").outer.trainable = False


def quantize_one(model):
    model.get_layer("block_1").outer.attention.qkv.quantize("int8")


def state(model):
    """Policy and trainability of every layer, and trainability of every variable."""
    parts = [
        (part.name, part.trainable, part.dtype_policy.name)
        for part in model._flatten_layers(include_self=False)
    ]
    return parts, [(variable.path, variable.trainable) for variable in model.weights]


@pytest.mark.filterwarnings(IGNORED)
@pytest.mark.parametrize(
    "change", [freeze_parts, freeze_above_then_train_below, quantize, quantize_one]
)
def test_model__is_as_before(change, tmp_path):
    model = small(depth=1)
    change(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for copy in (loaded, keras.models.clone_model(model)):
        assert state(copy) == state(model)
    np.testing.assert_array_equal(loaded(pixels(model)), model(pixels(model)))


@pytest.mark.filterwarnings(IGNORED)
def test_model__trains_on_after_reloading(tmp_path):
    model = small(depth=1, inner_blocks=())
    model.get_layer("block_1").attention.trainable = False
    model.get_layer("block_1").feed_forward.output_dense.quantize("int8")
    images, labels = pixels(model, 2).astype("float32"), np.array([0, 1])
    optimizer = keras.optimizers.Adam(1e-2)
    model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    model.train_on_batch(images, labels)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    losses = [
        [float(each.train_on_batch(images, labels)) for _ in range(2)]
        for each in (model, loaded)
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    assert losses[0][1] != losses[0][0]


@pytest.mark.filterwarnings(IGNORED)
def test_pyramid__is_as_before():
    model = small_pyramid(input_shape=(32, 32, 3))
    model.get_layer("stem").common_steps[1].trainable = False
    model.get_layer("stage_1").blocks[0].inner.trainable = False
    model.get_layer("stage_2").position_bias.trainable = False
    model.quantize("int8")
    assert state(keras.models.clone_model(model)) == state(model)


def test_nested_model__is_as_before(tmp_path):
    tnt = small(depth=1, include_top=False, pooling="token")
    freeze_parts(tnt)
    images = keras.Input((32, 48, 3))
    model = keras.Model(images, keras.layers.Dense(2)(tnt(images)))
    model.save(tmp_path / "model.keras")
    assert state(keras.saving.load_model(tmp_path / "model.keras")) == state(model)


@pytest.mark.filterwarnings(IGNORED)
def test_quantization__custom_quantizers_are_kept():
    quantizer = keras.quantizers.AbsMaxQuantizer(axis=-1, value_range=(-7, 7))
    config = keras.quantizers.Int8QuantizationConfig(activation_quantizer=quantizer)
    model = small(depth=1)
    images = pixels(model, 2)
    model.quantize(config=config)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(images), model(images))
    plain = small(depth=1)
    plain.quantize("int8")
    assert np.abs(np.subtract(plain(images), model(images))).max() > 1e-4


def test_policy_map__of_single_sublayers(tmp_path):
    names = {
        "block_1/outer/attention": "float32",
        "block_1/outer/attention/qkv": "int8_from_float32",
        "patch_embedding/projection": "int8_from_float32",
        "norm": "float32",
    }
    policies = {path: keras.dtype_policies.get(name) for path, name in names.items()}
    policy = keras.dtype_policies.DTypePolicyMap("mixed_bfloat16", policies)
    model = small(depth=1, dtype=policy)
    attention = model.get_layer("block_1").outer.attention
    assert attention.qkv.quantization_mode == "int8"
    assert attention.projection.compute_dtype == "bfloat16"
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    dtypes = [
        [
            (part.compute_dtype, part.quantization_mode)
            for part in each._flatten_layers(include_self=False)
        ]
        for each in (model, loaded)
    ]
    assert dtypes[0] == dtypes[1]
    np.testing.assert_array_equal(loaded(pixels(model)), model(pixels(model)))


def test_trainable__given_to_the_constructor_or_set_before_build():
    given = layers.TransformerBlock(3, trainable=False)
    before = layers.TransformerBlock(3)
    before.trainable = False
    before.attention.trainable = True
    for block in (given, before):
        block(np.ones((2, 9, 48)))
    assert not any(weight.trainable for weight in given.weights)
    trained = [weight.path for weight in before.weights if weight.trainable]
    assert trained == [weight.path for weight in before.attention.weights]
    given.trainable = True
    assert all(weight.trainable for weight in given.weights)


def test_config__of_a_layer_that_is_not_built_yet():
    block = layers.TransformerBlock(3)
    block.build((None, 9, 48))
    block.attention.qkv.trainable = False
    copy = layers.TransformerBlock.from_config(block.get_config())
    config = json.loads(json.dumps(copy.get_config()))
    assert config == json.loads(json.dumps(block.get_config()))
    again = layers.TransformerBlock.from_config(config)
    again.build((None, 9, 48))
    assert state(again) == state(block)


def test_config__of_a_renamed_layer():
    block = layers.TransformerBlock(3, name="old")
    block.build((None, 9, 48))
    block.attention.trainable = False
    copy = layers.TransformerBlock.from_config({**block.get_config(), "name": "new"})
    copy.build((None, 9, 48))
    assert not copy.attention.trainable
    assert copy.feed_forward.trainable
