"""Counts and sizes: every public function refuses those that are none."""

import dataclasses
import functools
import inspect
import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt import evaluation, export, images, inference, layers, visualization
from keras_tnt.app import prediction
from keras_tnt.data import FLIP_AUGMENTATION, Augmentation, image_dataset, load_dataset
from keras_tnt.export.validation import choose_image_size
from keras_tnt.inference import Classifier
from keras_tnt.training import fashion_mnist_demo
from keras_tnt.utils.counts import check_count, check_counts, check_size
from tests.helpers import ASSETS
from tests.helpers.small import build_pyramid_tnt, build_tnt, dense_classifier

NEVER = (-2, 2.5, "2", math.nan, True, [2])  # no count, whatever the lowest one is
SIDES = (0, -1, 2.5, "2", (8, 0), (8, 2.5), (8, 8, 8), (8,))  # no image size
PHOTO = ASSETS / "astronaut_small.png"
PACKAGE = Path(keras_tnt.__file__).parent


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), tf.constant(3)])
def test_check_count__whole_numbers(value):
    found = check_count("batch_size", value)
    assert (found, type(found)) == (3, int)
    check_counts(depth=value)
    assert check_size("size", value) == check_size("size", [3, value]) == (3, 3)


def test_check_count__lowest():
    assert check_count("first_step", 0, lowest=0) == 0
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        check_count("batch_size", 0)
    with pytest.raises(ValueError, match=r"top must be a whole number.*, got 2\.0"):
        check_count("top", 2.0)
    with pytest.raises(ValueError, match="a, b and c must be at least 1, got a=1, b=0"):
        check_counts(a=1, b=0, c=2)
    with pytest.raises(ValueError, match=r"a and b must be whole numbers.*b=None"):
        check_counts(a=0, b=None)


def recipe(**fields):
    return dataclasses.replace(fashion_mnist_demo(), **fields)


@functools.cache
def one_block():
    return build_tnt(depth=1)


def dataset(source, **arguments):
    return image_dataset(source, **{"batch_size": 8, "image_size": 8} | arguments)


def layer(kind, *names, **arguments):
    """By the name of an argument: a layer of a value of it."""
    return {
        f"{kind.__name__} {name}": (
            lambda value, name=name: kind(**arguments | {name: value})
        )
        for name in names
    }


COUNTS = {
    **{
        f"image_dataset {name}": (
            lambda value, name=name: dataset(few_images(), **{name: value})
        )
        for name in ("batch_size", "epochs", "workers", "replicas", "channels")
    },
    "image_dataset batch_size in training": lambda value: dataset(
        few_images(), batch_size=value, augmentation=FLIP_AUGMENTATION
    ),
    "image_dataset parallel_calls": lambda value: dataset(
        few_images(), parallel_calls=value
    ),
    "Augmentation repeats": lambda value: Augmentation(repeats=value),
    "evaluate batch_size": lambda value: evaluation.evaluate(
        dense_classifier(), few_images(), value
    ),
    "evaluate_classifier batch_size": lambda value: evaluation.evaluate_classifier(
        clothes(), few_images(), value
    ),
    "classify top": lambda value: inference.classify(
        clothes(), np.zeros((1, 8, 8, 3)), value
    ),
    "predict_files top": lambda value: next(
        inference.predict_files(clothes(), [PHOTO], value)
    ),
    "explain_prediction top": lambda value: prediction.explain_prediction(
        clothes(), np.zeros((8, 8, 3)), value
    ),
    "decode_predictions top": lambda value: images.decode_predictions(
        np.eye(1000)[:1], value
    ),
    "decode_image max_pixels": lambda value: images.decode_image(
        PHOTO.read_bytes(), value
    ),
    "load_image max_scans": lambda value: images.load_image(PHOTO, max_scans=value),
    "export_saved_model top_k": lambda value: keras_tnt.export_saved_model(
        dense_classifier(), "model", top_k=value
    ),
    "export_saved_model batch_sizes": lambda value: keras_tnt.export_saved_model(
        dense_classifier(), "model", batch_sizes=[value]
    ),
    "export_saved_model version": lambda value: keras_tnt.export_saved_model(
        dense_classifier(), "model", version=value
    ),
    "export_model version": lambda value: export.export_model(
        dense_classifier(), "model", version=value
    ),
    "integrated_gradients steps": lambda value: visualization.integrated_gradients(
        dense_classifier(), np.zeros((1, 32, 48, 3)), steps=value
    ),
    "principal_components count": lambda value: visualization.principal_components(
        np.eye(3), value
    ),
    "feature_extractor blocks": lambda value: keras_tnt.feature_extractor(
        one_block(), [value]
    ),
    **{
        f"TNT {name}": lambda value, name=name: build_tnt(**{name: value})
        for name in (
            "outer_dim",
            "inner_dim",
            "depth",
            "outer_num_heads",
            "inner_num_heads",
            "patch_size",
            "inner_stride",
            "classes",
        )
    },
    **{
        f"PyramidTNT {name}": (
            lambda value, name=name: build_pyramid_tnt(**{name: value})
        )
        for name in ("outer_dim", "inner_dim", "outer_num_heads", "classes")
    },
    "PyramidTNT depths": lambda value: build_pyramid_tnt(depths=(1, value, 1, 1)),
    "Recipe batch_size": lambda value: recipe(batch_size=value),
    "Recipe epochs": lambda value: recipe(epochs=value),
    **layer(layers.PixelEmbedding, "dim", "patch_size", "stride", dim=4),
    **layer(layers.PatchEmbedding, "dim"),
    **layer(layers.PatchMerging, "dim"),
    **layer(layers.PixelMerging, "dim"),
    **layer(layers.SelfAttention, "num_heads"),
    **layer(layers.SpatialReductionAttention, "num_heads", "sr_ratio", num_heads=2),
    **layer(layers.PyramidStem, "outer_dim", "inner_dim", outer_dim=8, inner_dim=4),
    **layer(layers.PyramidStage, "depth", outer_num_heads=2, inner_num_heads=1),
}
FROM_ZERO = {
    f"image_dataset {name}": (
        lambda value, name=name: dataset(few_images(), **{name: value})
    )
    for name in ("first_step", "worker", "prefetch")
}
SIZES = {
    "image_dataset": lambda value: dataset(few_images(), image_size=value),
    "preprocess_input": lambda value: images.preprocess_input(
        np.zeros((8, 8, 3)), value
    ),
    "resize_maps": lambda value: visualization.resize_maps(np.ones((1, 2, 2)), value),
    "class_token_map": lambda value: visualization.class_token_map(
        np.ones((1, 5, 5)), (2, 2), value
    ),
    "choose_image_size": lambda value: choose_image_size(any_size(), value),
    "Recipe": lambda value: recipe(image_size=value),
}


def any_size():
    images = keras.Input((None, None, 3))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))


@functools.cache
def few_images():
    return load_dataset("fashion_mnist_mini", "test[:1%]")


@functools.cache
def clothes():
    model = dense_classifier(10, input_shape=(8, 8, 3))
    return Classifier(model, list(few_images().class_names), 1.0)


@pytest.mark.parametrize("name", [*COUNTS, *FROM_ZERO])
def test_counts__refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function = {**COUNTS, **FROM_ZERO}[name]
    for value in (*NEVER, *([] if name in FROM_ZERO else [0])):
        with pytest.raises(ValueError, match=name.split()[1]) as caught:
            function(value)
        assert_own(caught.value)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SIZES)
def test_sizes__refused(name):
    for value in SIDES:
        with pytest.raises(ValueError, match="size") as caught:
            SIZES[name](value)
        assert_own(caught.value)


def assert_own(error):
    """An error that the package raises, not a library that it calls."""
    last = inspect.getinnerframes(error.__traceback__)[-1]
    assert Path(last.filename).is_relative_to(PACKAGE)


def test_counts__numpy_numbers():
    """Sizes that come from arrays are counts as well."""
    size = np.asarray([8, 8])
    batches = dataset(few_images(), batch_size=np.int64(4), image_size=tuple(size))
    assert next(iter(batches))[0].shape == (4, 8, 8, 3)
    found = choose_image_size(any_size(), size)
    assert found == (8, 8)
    assert [type(side) for side in found] == [int, int]
