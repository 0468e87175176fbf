"""LoRA: what is trained, saved, merged and exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt.export import export_model
from keras_tnt.weights.lora import has_lora
from tests.helpers.small import (
    build_pyramid_tnt,
    build_tnt,
    dense_classifier,
    pixels,
    small,
)


def adapted(model, rank=2):
    """The model with adapters whose product is not zero."""
    keras_tnt.enable_lora(model, rank)
    rng = np.random.default_rng(2)
    for weight in model.trainable_weights:
        if "lora_kernel_b" in weight.name:
            weight.assign(rng.normal(scale=0.05, size=weight.shape))
    return model


def grown():
    """A model with a convolution before a TNT, and a head of its own after it."""
    images = keras.Input((32, 48, 2))
    colored = keras.layers.Conv2D(3, 1, name="colors")(images)
    features = build_tnt(input_tensor=colored, include_top=False, pooling="token")
    return keras.Model(images, keras.layers.Dense(5, name="own")(features.output))


def nested():
    tnt = build_tnt(include_top=False, pooling="token")
    return keras.Sequential([tnt, keras.layers.Dense(5, name="own")])


@pytest.mark.parametrize(
    ("build", "own"),
    [
        (build_tnt, {"predictions/kernel", "predictions/bias"}),
        (build_pyramid_tnt, {"predictions/kernel", "predictions/bias"}),
        (grown, {"colors/kernel", "colors/bias", "own/kernel", "own/bias"}),
        (nested, {"own/kernel", "own/bias"}),
    ],
)
def test_enable_lora__trains_adapters_and_own_layers(build, own):
    model = build()
    images = np.random.default_rng(0).random((2, *model.input_shape[1:])) * 255
    before = model(images).numpy()
    keras_tnt.enable_lora(model, 2)
    np.testing.assert_array_equal(model(images), before)
    trained = [
        weight.path.removeprefix("sequential/") for weight in model.trainable_weights
    ]
    assert own == {path for path in trained if "lora" not in path}
    adapters = {path.split("/")[-2] for path in set(trained) - own}
    assert adapters <= {"qkv", "query", "key_value"}
    assert len(trained) - len(own) == 2 * sum(
        layer.name in ("qkv", "query", "key_value") for layer in model._flatten_layers()
    )


def test_enable_lora__biases_are_frozen():
    model = adapted(build_tnt(qkv_bias=True))
    assert not any("qkv/bias" in weight.path for weight in model.trainable_weights)


def test_enable_lora__only_the_trained_change():
    model = build_tnt()
    keras_tnt.enable_lora(model, 2)
    frozen = [weight.numpy() for weight in model.non_trainable_weights]
    trained = [weight.numpy() for weight in model.trainable_weights]
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(pixels(model), np.array([1, 2, 3]), epochs=2, verbose=0)
    for weight, before in zip(model.non_trainable_weights, frozen, strict=True):
        np.testing.assert_array_equal(weight, before, err_msg=weight.path)
    for weight, before in zip(model.trainable_weights, trained, strict=True):
        assert np.any(weight.numpy() != before), weight.path


def test_enable_lora__scale():
    model = build_tnt()
    keras_tnt.enable_lora(model, 2, lora_alpha=6)
    qkv = model.get_layer("block_1").outer.attention.qkv
    kernel = qkv.kernel.numpy()
    qkv.lora_kernel_b.assign(np.ones(qkv.lora_kernel_b.shape))
    added = 3 * qkv.lora_kernel_a.numpy().sum(axis=1, keepdims=True)
    np.testing.assert_allclose(qkv.kernel, kernel + added, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "rank", "message"),
    [
        (build_tnt, 0, "rank must be"),
        (build_tnt, 2.5, "rank must be"),
        (dense_classifier, 2, "Expected a TNT or PyramidTNT"),
        (lambda: adapted(build_tnt()), 2, "has LoRA adapters. Merge them first"),
    ],
)
def test_enable_lora__refused(model, rank, message):
    model = model()
    trained = [weight.path for weight in model.trainable_weights]
    with pytest.raises(ValueError, match=message):
        keras_tnt.enable_lora(model, rank)
    assert [weight.path for weight in model.trainable_weights] == trained


@pytest.mark.parametrize(
    "build", [small, build_pyramid_tnt, nested, lambda: small(dtype="mixed_bfloat16")]
)
def test_merge_lora__equals_the_adapted_model(build):
    plain = build()
    model = adapted(build())
    images = pixels(model)
    merged = keras_tnt.merge_lora(model)
    assert merged.count_params() == plain.count_params()
    assert merged.dtype_policy.name == model.dtype_policy.name
    if "bfloat16" not in model.dtype_policy.name:
        np.testing.assert_allclose(merged(images), model(images), atol=1e-5)
    assert has_lora(model)
    assert not has_lora(merged)


def test_merge_lora__can_train_all():
    merged = keras_tnt.merge_lora(adapted(build_tnt()))
    assert [weight.path for weight in merged.trainable_weights] == [
        "predictions/kernel",
        "predictions/bias",
    ]
    for layer in merged.layers:
        layer.trainable = True
    assert len(merged.trainable_weights) == len(build_tnt().trainable_weights)


@pytest.mark.slow
def test_saved_model_goes_on_training(tmp_path):
    model = adapted(build_tnt())
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    images, labels = pixels(model), np.array([1, 2, 3])
    model.fit(images, labels, epochs=3, verbose=0)
    model.save(tmp_path / "lora.keras")
    loaded = keras.saving.load_model(tmp_path / "lora.keras")
    losses = [
        m.fit(images, labels, epochs=5, verbose=0).history["loss"]
        for m in (model, loaded)
    ]
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_load_weights__of_an_adapted_model(tmp_path):
    model = adapted(small())
    model.save(tmp_path / "lora.keras")
    plain = build_tnt(weights=tmp_path / "lora.keras")
    images = pixels(model)
    np.testing.assert_allclose(plain(images), model(images), atol=1e-5)


def operations(path):
    """The number of operations of each signature."""
    signatures = tf.saved_model.load(str(path)).signatures
    return {
        name: len(function.graph.get_operations())
        for name, function in signatures.items()
    }


@pytest.mark.slow
def test_export_saved_model__merged(tmp_path):
    plain = keras_tnt.export_saved_model(build_tnt(), tmp_path / "plain")
    model = adapted(build_tnt())
    path = keras_tnt.export_saved_model(model, tmp_path / "lora")
    assert operations(path) == operations(plain)
    images = pixels(model).astype("float32")
    found = tf.saved_model.load(str(path)).signatures["predict_images"](
        images=tf.constant(images)
    )
    np.testing.assert_allclose(found["probabilities"], model(images), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file_format", "precision"),
    [("onnx", "float32"), ("savedmodel", "float16"), ("litert", "int8")],
)
def test_export_model__merged(file_format, precision, tmp_path):
    model = adapted(build_tnt())
    exported = export_model(model, tmp_path / "model", file_format, precision)
    assert exported.difference < {"float32": 1e-5}.get(precision, 0.02)
    if file_format == "onnx":
        import onnx

        names = [tensor.name for tensor in onnx.load(exported.path).graph.initializer]
        assert names
        assert not any("lora" in name for name in names)
