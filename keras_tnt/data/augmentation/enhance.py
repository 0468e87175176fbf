"""Brightness, contrast and saturation, as by Pillow's `ImageEnhance`; color jitter.

Images are float32 (height, width, channels) with whole numbers 0-255, and so are the
results. A factor of 1 changes nothing, one of 0 leaves nothing.
"""

from __future__ import annotations

import functools

from keras_tnt.images import rgb_to_gray
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.lazy import tf_function
from keras_tnt.utils.typing import Tensor


def color_jitter(image: tf.Tensor, seed: Tensor, strength: float) -> tf.Tensor:
    """Change brightness, contrast and saturation by random factors, in random order.

    As torchvision's `ColorJitter(strength, strength, strength)`, which timm and DeiT
    III use: the hue stays as it is.

    Args:
        image: the image, of static shape.
        seed: a pair of integers.
        strength: largest difference of a factor to 1. Factors are at least 0.

    Returns:
        An image of the same shape, whole numbers 0-255.
    """
    draws, places = tf.unstack(tf.random.stateless_uniform((2, len(ADJUSTMENTS)), seed))
    low = max(0.0, 1 - strength)
    factors = low + (1 + strength - low) * draws
    order = tf.argsort(places)
    for number in tf.unstack(order):
        image = _adjust(image, number, factors[number])
    return image


# A separate function is traced once, not once for each place in the order.
@tf_function(autograph=False)
def _adjust(image, number, factor):
    adjustments = [functools.partial(one, image, factor) for one in ADJUSTMENTS]
    return tf.switch_case(number, adjustments)


def adjust_brightness(image: tf.Tensor, factor: Tensor) -> tf.Tensor:
    """Move towards black, or away from it."""
    return enhance(image, 0.0, factor)


def adjust_contrast(image: tf.Tensor, factor: Tensor) -> tf.Tensor:
    """Move towards the mean gray level of the image, or away from it."""
    mean = tf.floor(tf.reduce_mean(luma(image)) + 0.5)
    return enhance(image, mean, factor)


def adjust_saturation(image: tf.Tensor, factor: Tensor) -> tf.Tensor:
    """Move towards the gray image, or away from it; a gray image stays as it is."""
    return enhance(image, luma(image), factor)


# The result of a seed depends on this order.
ADJUSTMENTS = (adjust_brightness, adjust_contrast, adjust_saturation)


def enhance(image: tf.Tensor, plain: Tensor, factor: Tensor) -> tf.Tensor:
    """Move towards a plain version of the image, or away from it with a factor over 1.

    Args:
        image: the image.
        plain: the plain version, of a shape that can be broadcast to the image's.
        factor: share of the difference to the plain version, at least 0.
    """
    return tf.clip_by_value(tf.floor(plain + factor * (image - plain)), 0.0, 255.0)


def luma(image: tf.Tensor) -> tf.Tensor:
    """Return the gray image, (height, width, 1)."""
    return image if image.shape[-1] == 1 else rgb_to_gray(image)
