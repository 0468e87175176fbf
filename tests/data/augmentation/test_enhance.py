"""Brightness, contrast and saturation against Pillow, and color jitter."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance

from keras_tnt.data.augmentation.enhance import (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    color_jitter,
)
from tests.helpers.datasets import photo

PILLOW = {
    adjust_brightness: ImageEnhance.Brightness,
    adjust_contrast: ImageEnhance.Contrast,
    adjust_saturation: ImageEnhance.Color,
}


def enhanced(kind, image, factor):
    """An image, uint8 (height, width, channels), enhanced by Pillow."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    return np.asarray(kind(picture).enhance(factor)).reshape(image.shape)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("adjust", PILLOW, ids=lambda adjust: adjust.__name__)
def test_adjust__equals_pillow(adjust, channels):
    image = photo(24, 20, channels)
    for factor in (0.0, 0.4, 0.7, 1.0, 1.3, 2.5):
        found = adjust(tf.constant(image, tf.float32), factor)
        expected = enhanced(PILLOW[adjust], image, factor)
        np.testing.assert_array_equal(found, expected)


def jittered(image, strength, number):
    one = tf.function(lambda seed: color_jitter(image, seed, strength), autograph=False)
    seeds = tf.random.stateless_uniform((number, 2), (1, 2), None, None, tf.int32)
    return seeds, np.stack([one(seed) for seed in seeds])


@pytest.mark.parametrize("channels", [1, 3])
def test_color_jitter__equals_pillow_in_random_order(channels):
    image = photo(8, 8, channels)
    seeds, found = jittered(tf.constant(image, tf.float32), 0.4, 40)
    orders, factors = set(), []
    for seed, result in zip(seeds, found, strict=True):
        draws, places = tf.random.stateless_uniform((2, 3), seed).numpy()
        order, expected = np.argsort(places), image
        for number in order:
            factor = 0.6 + 0.8 * float(draws[number])
            expected = enhanced(list(PILLOW.values())[number], expected, factor)
            factors.append(factor)
        # Pillow rounds down: a factor of other last bits may change a level.
        assert np.abs(result - expected).max() <= 2
        assert np.mean(result != expected) < 0.05
        orders.add(tuple(order))
    assert orders == set(itertools.permutations(range(3)))
    assert min(factors) < 0.65
    assert max(factors) > 1.35


def test_color_jitter__factors_are_at_least_0():
    white = tf.fill((1, 1, 1), 255.0)  # which contrast and saturation do not change
    _, found = jittered(white, 3.0, 100)
    seeds = jittered(white, 3.0, 100)[0]
    draws = [tf.random.stateless_uniform((2, 3), seed)[0, 0] for seed in seeds]
    expected = np.minimum(np.floor(4 * np.array(draws) * 255), 255)
    np.testing.assert_array_equal(found.ravel(), expected)
    assert found.min() < 64
