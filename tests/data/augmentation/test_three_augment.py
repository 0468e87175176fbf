"""3-Augment against Pillow, alone and in its order with crop, flip and jitter."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFilter, ImageOps

from keras_tnt.data import Augmentation
from keras_tnt.data.augmentation.enhance import color_jitter
from keras_tnt.data.augmentation.three_augment import three_augment
from keras_tnt.data.augmentation.transforms import SEEDS, Seeds, training_image
from tests.helpers.datasets import encoded, photo


def reference(image, choice, radius):
    """What the authors' code does to an image with Pillow, and what it is."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    if choice < 1 / 3:
        name, result = "gray", ImageOps.grayscale(picture).convert(picture.mode)
    elif choice < 2 / 3:
        name, result = "solarized", ImageOps.solarize(picture)
    else:
        name, result = "blurred", picture.filter(ImageFilter.GaussianBlur(radius))
    return name, np.asarray(result).reshape(image.shape)


def draws(seed):
    choice, position = tf.random.stateless_uniform((2,), seed).numpy()
    return float(choice), float(np.float32(0.1) + np.float32(1.9) * position)


@pytest.mark.parametrize("channels", [1, 3])
def test_three_augment__equals_pillow(channels):
    image = photo(12, 10, channels)
    pixels = tf.constant(image, tf.float32)
    augment = tf.function(lambda seed: three_augment(pixels, seed), autograph=False)
    seeds = tf.random.stateless_uniform((300, 2), (3, 4), None, None, tf.int32)
    names, radii = [], []
    for seed in seeds:
        choice, radius = draws(seed)
        name, expected = reference(image, choice, radius)
        np.testing.assert_array_equal(augment(seed), expected)
        names.append(name)
        radii.append(radius)
    for name in ("gray", "solarized", "blurred"):
        assert 0.26 < np.mean([found == name for found in names]) < 0.41
    assert min(radii) < 0.15
    assert max(radii) > 1.95


def test_training_image__order_of_deit_3():
    """Crop and flip, then 3-Augment, then color jitter."""
    contents = encoded(photo(30, 26), "PNG")
    plain = Augmentation(crop_scale=(0.08, 1.0), flip=0.5)
    full = dataclasses.replace(plain, three_augment=True, color_jitter=0.3)
    one = tf.function(
        lambda seeds: [
            training_image(contents, seeds, augmentation, (12, 10, 3), 1.0)
            for augmentation in (plain, full)
        ],
        autograph=False,
    )
    for number in range(12):
        seeds = tf.random.stateless_uniform(
            (SEEDS, 2), (number, 1), None, None, tf.int32
        )
        of_image = Seeds(*tf.unstack(seeds))
        cropped, found = one(seeds)
        cropped = cropped.numpy().astype("uint8")
        _, augmented = reference(cropped, *draws(of_image.operations))
        augmented = tf.constant(augmented, tf.float32)
        expected = color_jitter(augmented, of_image.magnitudes, 0.3)
        np.testing.assert_array_equal(found, expected)
        assert np.any(found != augmented)
