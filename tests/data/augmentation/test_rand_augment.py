"""RandAugment's operations against Pillow's, and what is drawn."""

import dataclasses
import sys
import types
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from keras_tnt.data import IMAGENET_AUGMENTATION, Augmentation, image_dataset
from keras_tnt.data.augmentation.rand_augment import (
    OPERATIONS,
    apply_operation,
    keras_cv_layer,
    rand_augment,
)
from tests.helpers.datasets import photo

NAMES = [operation.__name__.removeprefix("_") for operation in OPERATIONS]
SHAPE = (48, 64, 3)
FILL_VALUE = (128, 128, 128)


def solarize_add(image, addition):
    table = [min(255, i + addition) if i < 128 else i for i in range(256)]
    return image.point(table * len(image.getbands()))


def posterize(image, bits):
    if bits == 0:  # which new versions of Pillow refuse
        return image.point(lambda value: 0)
    return ImageOps.posterize(image, bits)


def affine(image, matrix):
    fill = FILL_VALUE if image.mode == "RGB" else 128
    return image.transform(
        image.size, Image.AFFINE, matrix, Image.BILINEAR, fillcolor=fill
    )


def reference(name, image, level, sign):
    """The operation as timm's recipe does it with Pillow, `level` from 0 to 1."""
    factor = max(0.1, 1 + sign * 0.9 * level)
    shear, (width, height) = sign * 0.3 * level, image.size
    fill = FILL_VALUE if image.mode == "RGB" else 128
    return {
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "invert": lambda: ImageOps.invert(image),
        "rotate": lambda: image.rotate(
            sign * 30 * level, Image.BILINEAR, fillcolor=fill
        ),
        "posterize": lambda: posterize(image, 4 - int(4 * level)),
        "solarize": lambda: ImageOps.solarize(image, 256 - int(256 * level)),
        "solarize_add": lambda: solarize_add(image, int(110 * level)),
        "color": lambda: ImageEnhance.Color(image).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(factor),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(factor),
        "shear_x": lambda: affine(image, (1, shear, 0, 0, 1, 0)),
        "shear_y": lambda: affine(image, (1, 0, 0, shear, 1, 0)),
        "translate_x": lambda: affine(
            image, (1, 0, sign * 0.45 * level * width, 0, 1, 0)
        ),
        "translate_y": lambda: affine(
            image, (1, 0, 0, 0, 1, sign * 0.45 * level * height)
        ),
    }[name]()


def apply(name, image, level, sign):
    found = apply_operation(
        tf.constant(image, tf.float32),
        tf.constant(NAMES.index(name)),
        tf.constant(level),
        tf.constant(sign),
    )
    return found.numpy()


def pillow(image):
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_operations__equal_to_pillow(name, channels):
    image = photo(*SHAPE[:2], channels)
    image = image // 2 + 40  # not all values, so that contrast can be stretched
    for level, sign in ((0.0, 1.0), (0.3, -1.0), (0.75, 1.0), (0.93, -1.0), (1.0, 1.0)):
        found = apply(name, image, level, sign)
        assert found.dtype == "float32"
        assert found.shape == image.shape
        assert found.min() >= 0
        assert found.max() <= 255
        np.testing.assert_array_equal(found, found.round())
        expected = np.asarray(reference(name, pillow(image), level, sign), "float32")
        difference = np.abs(found - expected.reshape(image.shape)).max(axis=-1)
        if NAMES.index(name) in (3, 11, 12, 13, 14):
            # Where the image meets the filling, Pillow repeats its last pixels.
            outside = apply(name, np.full_like(image, 255), level, sign).min(axis=-1)
            difference = difference[(outside == 255) | (outside == 128)]
            assert difference.size > 0.25 * outside.size
        assert difference.max() <= 1, (level, sign)


@pytest.mark.parametrize("name", NAMES)
def test_operations__severity_increases(name):
    image = photo(*SHAPE)
    changes = [
        np.abs(apply(name, image, level, -1.0) - image).mean()
        for level in (0.0, 0.5, 1.0)
    ]
    if name in ("autocontrast", "equalize", "invert"):
        assert changes[0] == changes[1] == changes[2]
    else:
        assert changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("name", NAMES)
def test_operations__uniform_image(name):
    for value in (0, 7, 255):
        image = np.full((8, 8, 3), value, "uint8")
        expected = np.asarray(reference(name, pillow(image), 0.0, 1.0))
        np.testing.assert_array_equal(apply(name, image, 0.0, 1.0), expected)


def draws(augmentation, number):
    """What random seeds make of an image in which every operation shows."""
    image = photo(16, 16, 3) // 5 * 4 + 10
    seeds = tf.random.stateless_uniform((number, 2, 2), (3, 5), None, None, tf.int32)
    pixels = tf.constant(image, tf.float32)
    one = tf.function(lambda seed: rand_augment(pixels, seed[0], seed[1], augmentation))
    return image, np.stack([one(seed) for seed in seeds])


def test_rand_augment__half_applied():
    """Of two, each with probability 1/2, none is in a quarter of the images."""
    image, found = draws(IMAGENET_AUGMENTATION, 400)
    unchanged = (found == image).all(axis=(1, 2, 3)).mean()
    assert 0.18 < unchanged < 0.32
    always = dataclasses.replace(IMAGENET_AUGMENTATION, rand_augment_probability=1.0)
    image, found = draws(always, 100)
    assert (found == image).all(axis=(1, 2, 3)).mean() < 0.06


def test_rand_augment__every_operation_drawn():
    augmentation = Augmentation(
        rand_augment=1,
        rand_augment_probability=1.0,
        rand_augment_magnitude=9.0,
        rand_augment_std=0.0,
    )
    image, found = draws(augmentation, 300)
    seen = {picture.tobytes() for picture in found}
    ways = [(name, sign) for name in NAMES for sign in (-1.0, 1.0)]
    possible = {apply(name, image, 0.9, sign).tobytes() for name, sign in ways}
    assert len(possible) == 24  # nine can go two ways
    assert seen == possible


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_rand_augment__keras_cv_policy(channels):
    pytest.importorskip("keras_cv")
    augmentation = Augmentation(rand_augment=2, rand_augment_policy="keras_cv")
    ((found, _),), ((expected, _),) = (
        list(image_dataset(
            "fashion_mnist_mini", "test[:8]", batch_size=8, image_size=28,
            channels=channels, augmentation=each, crop_fraction=1.0,
        )) for each in (augmentation, Augmentation())
    )  # fmt: skip
    assert found.shape == (8, 28, 28, channels)
    assert 0 <= found.numpy().min() <= found.numpy().max() <= 255
    assert np.any(found.numpy() != expected.numpy())


def test_rand_augment__keras_cv_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_cv", None)
    with pytest.raises(ImportError, match=r'pip install "keras-tnt\[train\]"'):
        keras_cv_layer(Augmentation(rand_augment=2, rand_augment_policy="keras_cv"))


def test_keras_cv_layer__is_not_shared_among_data_sets(monkeypatch):
    """It has a state, so one data set would change what the other draws."""

    class Layer:
        instances: ClassVar = []

        def __init__(self, value_range, operations, magnitude, magnitude_stddev):
            self.settings = (value_range, operations, magnitude, magnitude_stddev)
            self.instances.append(self)

        def __call__(self, image):
            return image

    module = types.SimpleNamespace(layers=types.SimpleNamespace(RandAugment=Layer))
    monkeypatch.setitem(sys.modules, "keras_cv", module)
    augmentation = Augmentation(rand_augment=2, rand_augment_policy="keras_cv")
    for number in (1, 2):
        image_dataset(
            "fashion_mnist_mini", "test[:8]", batch_size=8, image_size=28, channels=1,
            augmentation=augmentation,
        )  # fmt: skip
        assert len(Layer.instances) == number
    assert Layer.instances[0].settings == ((0, 255), 2, 0.9, 0.05)
    assert keras_cv_layer(Augmentation(rand_augment=2)) is None


def test_rand_augment__same_seed():
    _, first = draws(IMAGENET_AUGMENTATION, 20)
    _, second = draws(IMAGENET_AUGMENTATION, 20)
    np.testing.assert_array_equal(first, second)
