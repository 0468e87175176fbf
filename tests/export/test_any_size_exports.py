"""Exports of models on images of any size."""

import json

import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt.export import check_saved_model, export_model
from keras_tnt.export.load_exported import load_exported
from keras_tnt.inference.classifier import load_classifier
from tests.helpers.runtimes import need_runtime
from tests.helpers.small import small, small_pyramid

NATIVE = (64, 96)
SIZES = [NATIVE, (70, 50)]  # the last is no whole number of patches
KINDS = {"tnt": lambda **more: small(depth=1, **more), "pyramid": small_pyramid}


def any_size(kind, **arguments):
    arguments = {"max_image_size": 128} | arguments
    return KINDS[kind](
        input_shape=(None, None, 3), native_image_size=NATIVE, **arguments
    )


def noise(*size, batch=2):
    images = np.random.default_rng(0).uniform(0, 255, (batch, *size, 3))
    return images.astype("float32")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_export_saved_model__one_answers_two_sizes(kind, tmp_path):
    model = any_size(kind)
    path = keras_tnt.export_saved_model(model, tmp_path / "pets")
    assert json.loads((path / "metadata.json").read_text())["input"]["height"] == 64
    without_top = any_size(kind, include_top=False)
    for weight, value in zip(without_top.weights, model.weights, strict=False):
        weight.assign(value)
    signatures = tf.saved_model.load(path).signatures
    assert signatures["predict_images"].inputs[0].shape[1:3].as_list() == [None, None]
    for size in SIZES:
        images = noise(*size)
        expected = model(images).numpy()
        found = signatures["predict_images"](images=tf.constant(images))
        np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
        features = signatures["features"](images=tf.constant(images))
        expected_map = without_top(images)
        np.testing.assert_allclose(features["feature_map"], expected_map, atol=1e-5)
    if kind == "tnt":
        check_saved_model(path, images, expected)
    with pytest.raises(tf.errors.InvalidArgumentError, match="max_image_size=128"):
        signatures["predict_images"](images=tf.constant(noise(64, 160)))
    encoded = tf.io.encode_png(tf.zeros((40, 200, 3), tf.uint8))[None]
    assert signatures["serving_default"](image_bytes=encoded)["ok"].numpy().all()


@pytest.mark.parametrize(
    ("kind", "file_format"),
    [
        ("tnt", "onnx"),
        ("tnt", "litert"),
        ("tnt", "openvino"),
        pytest.param("pyramid", "onnx", marks=pytest.mark.slow),
        pytest.param("pyramid", "litert", marks=pytest.mark.slow),
        pytest.param("pyramid", "openvino", marks=pytest.mark.slow),
    ],
)
def test_export_model__any_size(kind, file_format, tmp_path):
    need_runtime(file_format)
    model = any_size(kind)
    path = export_model(model, tmp_path / "model", file_format).path
    exported = load_exported(path, file_format)
    assert exported.input_shape == (None, None, None, 3)
    assert exported.metadata.image_shape == (*NATIVE, 3)
    for size in SIZES:
        images = noise(*size)
        found = exported.predict_on_batch(images)
        np.testing.assert_allclose(found, model(images), atol=1e-5)
    # The runtimes' errors have no common base class.
    with pytest.raises(Exception, match=r"(?i)reshape"):
        exported.predict_on_batch(noise(64, 160))


def test_export_model__any_size_refuses_parts_of_patches(tmp_path):
    need_runtime("onnx")
    model = any_size("tnt", pad_images=False)
    path = export_model(model, tmp_path / "model.onnx", "onnx").path
    exported = load_exported(path, "onnx")
    images = noise(96, 64)
    found = exported.predict_on_batch(images)
    np.testing.assert_allclose(found, model(images), atol=1e-5)
    with pytest.raises(Exception, match="Reshape"):
        exported.predict_on_batch(noise(70, 50))


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": (96, 64)},
        pytest.param({"precision": "float16"}, marks=pytest.mark.slow),
    ],
)
def test_export_model__any_size_at_a_fixed_size(options, tmp_path):
    need_runtime("litert")
    model = any_size("tnt")
    path = export_model(model, tmp_path / "model", "litert", **options).path
    exported = load_exported(path, "litert")
    size = options.get("image_size", NATIVE)
    assert exported.input_shape == (None, *size, 3)
    images = noise(*size)
    found = exported.predict_on_batch(images)
    np.testing.assert_allclose(found, model(images), atol=0.01)


def test_load_classifier__any_size_at_its_native_one(tmp_path):
    any_size("tnt").save(tmp_path / "model.keras")
    for arguments, size in (({}, NATIVE), ({"image_size": (32, 48)}, (32, 48))):
        classifier = load_classifier(str(tmp_path / "model.keras"), **arguments)
        assert classifier.model.input_shape == (None, *size, 3)
