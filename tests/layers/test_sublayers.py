"""What is frozen or quantized in sublayers is so again after reloading."""

import json

import keras
import numpy as np
import pytest

from keras_tnt import layers
from tests.helpers.small import pixels, small, small_pyramid

IGNORED = "ignore:(Layer .* does not have a|.model.quantize):UserWarning"


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


def train_attention_of_frozen_blocks(model):
    freeze_every_layer(model)
    for part in model._flatten_layers():
        if isinstance(part, layers.SelfAttention):
            part.trainable = True


def train_biases_of_frozen_layers(model):
    freeze_every_layer(model)
    for weight in model.weights:
        weight.trainable = weight.name in ("bias", "beta")


def train_embeddings_of_frozen_layers(model):
    freeze_every_layer(model)
    for weight in model.weights:
        weight.trainable = weight.name in ("position_embedding", "class_token")


def freeze_all_but_biases(model):
    for weight in model.weights:
        weight.trainable = weight.name in ("bias", "beta")


def train_biases_of_frozen_model(model):
    model.trainable = False
    for weight in model.weights:
        weight.trainable = weight.name == "bias"


def freeze_every_layer(model):
    for part in model._flatten_layers(include_self=False):
        part.trainable = False


def adapt(model):
    """LoRA of everything that Keras can adapt, and of the convolutions."""
    for part in model._flatten_layers():
        if isinstance(part, (keras.layers.Dense, keras.layers.Conv2D)):
            part.enable_lora(2, lora_alpha=3)
            part.lora_kernel_b.assign(np.full(part.lora_kernel_b.shape, 0.01))


def adapt_frozen(model):
    freeze_every_layer(model)
    qkv = model.get_layer("block_1").outer.attention.qkv
    qkv.enable_lora(2)
    qkv.lora_kernel_a.trainable = qkv.lora_kernel_b.trainable = True


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
        if not isinstance(part, keras.layers.InputLayer)
    ]
    return parts, [(variable.path, variable.trainable) for variable in model.weights]


@pytest.mark.filterwarnings(IGNORED)
@pytest.mark.parametrize(
    "change",
    [
        freeze_parts,
        pytest.param(freeze_above_then_train_below, marks=pytest.mark.slow),
        train_attention_of_frozen_blocks,
        pytest.param(train_biases_of_frozen_layers, marks=pytest.mark.slow),
        pytest.param(train_embeddings_of_frozen_layers, marks=pytest.mark.slow),
        freeze_all_but_biases,
        adapt,
        pytest.param(adapt_frozen, marks=pytest.mark.slow),
        quantize,
        pytest.param(quantize_one, marks=pytest.mark.slow),
    ],
)
def test_model__is_as_before(change, tmp_path):
    model = small(depth=1)
    change(model)
    assert model.trainable_weights
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for copy in (loaded, keras.models.clone_model(model)):
        assert state(copy) == state(model)
    np.testing.assert_array_equal(loaded(pixels(model)), model(pixels(model)))


def quantize_part(model):
    model.get_layer("block_1").attention.trainable = False
    model.get_layer("block_1").feed_forward.output_dense.quantize("int8")


def quantized(mode, *changes):
    def change(model):
        model.quantize(mode)
        for each in changes:
            each(model)

    return change


def adapt_then_quantize(model):
    adapt(model)
    model.quantize("int8")


@pytest.mark.filterwarnings(IGNORED)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(quantize_part, marks=pytest.mark.slow),
        adapt,
        pytest.param(adapt_then_quantize, marks=pytest.mark.slow),
        quantized("int8", adapt),
        pytest.param(quantized("int4"), marks=pytest.mark.slow),
        pytest.param(quantized("int4", adapt), marks=pytest.mark.slow),
        pytest.param(quantized("float8"), marks=pytest.mark.slow),
    ],
)
def test_model__trains_on_after_reloading(change, tmp_path):
    model = small(depth=1, inner_blocks=(), input_shape=(16, 32, 3))
    change(model)
    images, labels = pixels(model, 2).astype("float32"), np.array([0, 1])
    optimizer = keras.optimizers.Adam(1e-2)
    # Keras trains float8 in a graph only.
    eager = all(w.name != "inputs_scale" for w in model.weights)
    model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=eager)
    model.train_on_batch(images, labels)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = eager
    for ours, theirs in zip(model.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(theirs, ours)
    for ours, theirs in zip(
        model.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(theirs, ours)
    losses = []
    for each in (model, loaded):
        for _ in range(2):
            each.reset_metrics()  # train_on_batch does so itself since Keras 3.15
            losses.append(float(each.train_on_batch(images, labels)))
    np.testing.assert_allclose(losses[2:], losses[:2], rtol=1e-5)
    assert losses[1] != losses[0]


@pytest.mark.slow
@pytest.mark.filterwarnings(IGNORED)
def test_pyramid__is_as_before():
    model = small_pyramid(input_shape=(32, 32, 3))
    model.get_layer("stem").common_steps[1].trainable = False
    model.get_layer("stage_1").blocks[0].inner.trainable = False
    model.get_layer("stage_2").position_bias.trainable = False
    model.get_layer("stage_3").trainable = False
    model.get_layer("stage_3").position_bias.trainable = True
    model.get_layer("stage_3").blocks[0].outer.attention.query.trainable = True
    model.get_layer("stem").patch_steps[1].gamma.trainable = False
    model.get_layer("stem").pixel_steps[0].enable_lora(2)
    model.quantize("int8")
    assert state(keras.models.clone_model(model)) == state(model)


@pytest.mark.parametrize("change", [freeze_parts, train_biases_of_frozen_model])
def test_nested_model__is_as_before(change, tmp_path):
    tnt = small(depth=1, include_top=False, pooling="token")
    change(tnt)
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
