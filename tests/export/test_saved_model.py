"""SavedModels: the same answers without Keras, versions, harmless failures."""

import json
import os
import resource
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_tnt
from keras_tnt.export import check_saved_model
from keras_tnt.export.publish import move_into_place
from keras_tnt.images import decode_image, imagenet_classes, load_image
from keras_tnt.inference.classification import predict_files
from keras_tnt.inference.classifier import Classifier
from tests.export.conftest import NAMES
from tests.helpers import ASSETS
from tests.helpers.datasets import pillow_gray
from tests.helpers.small import dense_classifier, pixels, small, small_pyramid


@pytest.fixture
def image_files(tmp_path):
    """Image files of several sizes, formats and kinds."""
    paths = sorted(shutil.copy(path, tmp_path) for path in ASSETS.glob("*.png"))
    photo = Image.open(paths[0]).convert("RGB")
    for name, image in [
        ("a.jpg", photo),
        ("b.jpg", photo.rotate(90)),
        ("c.png", photo.convert("L")),
        ("d.png", photo.resize((20, 30))),
        ("e.gif", photo.quantize(64)),
    ]:
        image.save(tmp_path / name)
        paths.append(str(tmp_path / name))
    return paths


def directories(path):
    return sorted(os.listdir(path))


def test_check_saved_model__equal_without_keras(color):
    images = pixels(color.model, 7).astype("float32")
    expected = color.model.predict(images, verbose=0)
    assert check_saved_model(color.path, images, expected) <= 1e-5


@pytest.mark.parametrize("batch", [1, 7, 32])
def test_export_saved_model__predict_images(exported, batch):
    images = pixels(exported.model, batch).astype("float32")
    outputs = exported.signatures["predict_images"](images=tf.constant(images))
    assert sorted(outputs) == ["logits", "probabilities"]
    assert {value.dtype for value in outputs.values()} == {tf.float32}
    expected = exported.model.predict(images, verbose=0)
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)


def test_export_saved_model__serving_default(exported, image_files):
    """The same as from the command line's prediction, and as step by step."""
    contents = tf.constant([Path(path).read_bytes() for path in image_files])
    outputs = exported.signatures["serving_default"](image_bytes=contents)
    assert {name: value.dtype for name, value in outputs.items()} == {
        "classes": tf.string,
        "class_ids": tf.int64,
        "scores": tf.float32,
        "ok": tf.bool,
    }
    assert np.array_equal(outputs.pop("ok"), [True] * len(image_files))
    assert {tuple(value.shape) for value in outputs.values()} == {(len(image_files), 5)}
    classes = [[name.decode() for name in row] for row in outputs["classes"].numpy()]
    assert len({row[0] for row in classes}) > 1  # the images differ in their class

    predictions = predict_files(Classifier(exported.model, NAMES, 0.9), image_files)
    for prediction, row, scores in zip(
        predictions, classes, outputs["scores"], strict=True
    ):
        names, expected = zip(*prediction.classes, strict=True)
        assert list(names) == row
        np.testing.assert_allclose(scores, expected, atol=1e-5)

    images = [load_image(path) for path in image_files]
    if exported.model.input_shape[-1] == 1:
        images = [pillow_gray(image) for image in images]
    probabilities = exported.model(keras_tnt.preprocess_input(images, (32, 48))).numpy()
    best = np.argsort(-probabilities, axis=1)[:, :5]
    np.testing.assert_array_equal(outputs["class_ids"], best)
    np.testing.assert_allclose(
        outputs["scores"], np.take_along_axis(probabilities, best, axis=1), atol=1e-5
    )


def test_export_saved_model__labels_and_settings(image_files, tmp_path):
    model = dense_classifier()
    path = keras_tnt.export_saved_model(
        model, tmp_path / "m", top_k=10, crop_fraction=1.0
    )
    serve = tf.saved_model.load(path).signatures["serving_default"]
    outputs = serve(image_bytes=tf.constant([Path(image_files[0]).read_bytes()]))
    names = [name.decode() for name in outputs["classes"].numpy()[0]]
    assert sorted(names) == [str(i) for i in range(7)]  # all seven, not ten
    assert names == [str(i) for i in outputs["class_ids"].numpy()[0]]
    images = keras_tnt.preprocess_input([load_image(image_files[0])], (32, 48), 1.0)
    np.testing.assert_allclose(
        outputs["scores"][0], np.sort(model(images)[0])[::-1], atol=1e-5
    )


@pytest.mark.slow
def test_export_saved_model__versions(tmp_path):
    model, path = dense_classifier(), tmp_path / "models" / "pets"
    export = keras_tnt.export_saved_model
    assert export(model, path) == path / "1"
    assert export(model, path, version=7) == path / "7"
    (path / "notes").mkdir()  # no version, and no obstacle
    assert export(model, str(path)) == path / "8"

    before = (path / "7" / "saved_model.pb").stat()
    with pytest.raises(FileExistsError, match=r"7 exists.*overwrite=True"):
        export(model, path, version=7)
    assert (path / "7" / "saved_model.pb").stat() == before

    assert (
        export(dense_classifier(classes=2), path, version=7, overwrite=True)
        == path / "7"
    )
    signature = tf.saved_model.load(path / "7").signatures["predict_images"]
    images = tf.zeros((1, 32, 48, 3))
    assert signature(images=images)["probabilities"].shape == (1, 2)
    assert directories(path) == ["1", "7", "8", "notes"]


def two_outputs():
    model = small()
    return keras.Model(model.input, [model.output, model.output])


def no_images():
    numbers = keras.Input((3,))
    return keras.Model(numbers, keras.layers.Dense(7)(numbers))


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (small, {"labels": NAMES[:6]}, "each of the 7 classes, got 6"),
        (small, {"labels": range(7)}, r"must be strings, got \[0, 1, 2\]"),
        (small, {"labels": [(n, n) for n in NAMES]}, "must be strings"),
        (small, {"version": 0}, "positive whole number, got 0"),
        (small, {"version": "3"}, "positive whole number, got '3'"),
        (small, {"version": True}, "positive whole number, got True"),
        (small, {"top_k": 0}, "top_k must be at least 1, got 0"),
        (small, {"labels": [*NAMES[:6], "a\nb"]}, r"must be one line, got \['a\\nb'\]"),
        (small, {"labels": [*NAMES[:6], ""]}, r"must be one line, got \[''\]"),
        (small, {"batch_sizes": ()}, r"batch_sizes must be positive.*got \[\]"),
        (small, {"batch_sizes": (0, 1)}, r"batch_sizes must be positive"),
        (
            small,
            {"batch_sizes": (2, 1)},
            r"in ascending order, got \[2, 1\]",
        ),
        (small, {"batch_sizes": (1, 1)}, r"in ascending order, got \[1, 1\]"),
        (lambda: small(include_preprocessing=False), {}, "expects scaled"),
        (lambda: small_pyramid(include_preprocessing=False), {}, "expects scaled"),
        (small, {"crop_fraction": 1.5}, "crop_fraction"),
        (lambda: small(include_top=False), {}, r"Expected a classifier.*2, 3, 48\)"),
        (lambda: small(input_shape=(32, 48, 4)), {}, "Expected a classifier"),
        (two_outputs, {}, "Expected a classifier of gray or color images"),
        (no_images, {}, r"Expected a classifier.*shape \(None, 3\) to"),
    ],
)
def test_export_saved_model__invalid_arguments(build, arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        keras_tnt.export_saved_model(build(), tmp_path / "m", **arguments)
    assert not list(tmp_path.glob("m/*"))


def test_export_saved_model__existing_file_kept(tmp_path):
    (tmp_path / "pets").write_text("mine")
    with pytest.raises(FileExistsError, match="pets"):
        keras_tnt.export_saved_model(dense_classifier(), tmp_path / "pets")
    assert (tmp_path / "pets").read_text() == "mine"


def test_export_saved_model__full_disk(tmp_path):
    model, path = dense_classifier(), tmp_path / "m"
    keras_tnt.export_saved_model(model, path)
    before = (path / "1" / "saved_model.pb").stat()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        for version in (1, 2):
            with pytest.raises((OSError, tf.errors.OpError)):
                keras_tnt.export_saved_model(
                    model, path, version=version, overwrite=True
                )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert directories(path) == ["1"]
    assert (path / "1" / "saved_model.pb").stat() == before
    images = pixels(model).astype("float32")
    signature = tf.saved_model.load(path / "1").signatures["predict_images"]
    found = signature(images=tf.constant(images))["probabilities"]
    np.testing.assert_allclose(found, model(images), atol=1e-5)


def test_check_saved_model__other_predictions(color):
    images = pixels(color.model, 2).astype("float32")
    expected = color.model.predict(images, verbose=0)
    with pytest.raises(
        RuntimeError, match=r"difference is 0\.001, expected at most 1e-05"
    ):
        check_saved_model(color.path, images, expected + np.float32(0.001))


def test_check_saved_model__damaged(color, tmp_path):
    damaged = Path(shutil.copytree(color.path, tmp_path / "1"))
    variables = damaged / "variables" / "variables.data-00000-of-00001"
    variables.write_bytes(variables.read_bytes()[:1000])
    with pytest.raises(RuntimeError, match="1 does not run without Keras:"):
        check_saved_model(damaged, np.zeros((1, 32, 48, 3)), np.zeros((1, 7)))


@pytest.mark.parametrize(
    "policy", [pytest.param("mixed_float16", marks=pytest.mark.slow), "mixed_bfloat16"]
)
def test_export_saved_model__mixed_precision(policy, image_files, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = small(depth=1)
    path = keras_tnt.export_saved_model(model, tmp_path / "m")
    metadata = json.loads((path / "metadata.json").read_text())
    assert metadata["precision"] == policy.removeprefix("mixed_")
    signatures = tf.saved_model.load(path).signatures
    images = pixels(model).astype("float32")
    found = signatures["predict_images"](images=tf.constant(images))["probabilities"]
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, model.predict(images, verbose=0), atol=1e-2)
    contents = tf.constant([Path(image_files[0]).read_bytes()])
    scores = signatures["serving_default"](image_bytes=contents)["scores"]
    assert scores.dtype == tf.float32


@pytest.mark.slow
def test_export_saved_model__model_unchanged(tmp_path):
    model = small(depth=1, dropout_rate=0.1)
    images = pixels(model)
    config, expected = model.get_config(), model.predict(images, verbose=0)
    keras_tnt.export_saved_model(model, tmp_path / "m")
    assert model.get_config() == config
    np.testing.assert_array_equal(model.predict(images, verbose=0), expected)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(images, np.array([0, 1, 2]), verbose=0)
    assert np.abs(model.predict(images, verbose=0) - expected).max() > 1e-3


def test_export_saved_model__failed_move_restores_version(tmp_path):
    old, missing = tmp_path / "1", tmp_path / "missing"
    old.mkdir()
    (old / "saved_model.pb").write_text("old")
    with pytest.raises(FileNotFoundError):
        move_into_place(missing, old, replaced=tmp_path / "replaced")
    assert (old / "saved_model.pb").read_text() == "old"


@pytest.mark.slow
def test_export_saved_model__tnt_small(photos, tmp_path):
    model = keras_tnt.TNTSmall(weights=None)
    names = [name for _, name in imagenet_classes()]
    path = keras_tnt.export_saved_model(model, tmp_path / "tnt_s", names)
    images = pixels(model, 7).astype("float32")
    expected = model.predict(images, verbose=0)
    assert check_saved_model(path, images, expected) <= 1e-5
    metadata = json.loads((path / "metadata.json").read_text())
    assert metadata["parameters"] == 23_768_584
    signatures = tf.saved_model.load(path).signatures
    answer = signatures["serving_default"](image_bytes=tf.constant([*photos, b""]))
    assert answer["ok"].numpy().tolist() == [True, True, True, False]
    images = keras_tnt.preprocess_input([decode_image(photo) for photo in photos])
    best = np.sort(model.predict(images, verbose=0), axis=1)[:, :-6:-1]
    np.testing.assert_allclose(answer["scores"][:3], best, atol=1e-5)
    features = signatures["features"](images=images)
    assert features["embedding"].shape == (3, 384)
    assert features["feature_map"].shape == (3, 14, 14, 384)
