"""3-Augment, the augmentation of DeiT III (arXiv 2204.07118, section 3.3), stateless.

Its authors' code, augment.py of the repository facebookresearch/deit, is the source of
the ranges.
"""

from __future__ import annotations

import functools

from keras_tnt.data.augmentation.blur import gaussian_blur
from keras_tnt.data.augmentation.enhance import luma
from keras_tnt.data.augmentation.rand_augment import solarize
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Tensor

BLUR_RADIUS = (0.1, 2.0)
THRESHOLD = 128.0  # of solarizing


def three_augment(image: tf.Tensor, seed: Tensor) -> tf.Tensor:
    """Make an image gray, solarize it or blur it, each with probability 1/3.

    The radius of the blur is drawn between 0.1 and 2 pixels, whatever the size of the
    image.

    Args:
        image: float32 (height, width, channels), whole numbers 0-255, of static shape.
        seed: a pair of integers.

    Returns:
        An image of the same shape, whole numbers 0-255. Each operation gives what
        Pillow gives.
    """
    choice, position = tf.unstack(tf.random.stateless_uniform((2,), seed))
    low, high = BLUR_RADIUS
    branches = [
        lambda: tf.broadcast_to(luma(image), image.shape),
        functools.partial(solarize, image, THRESHOLD),
        lambda: gaussian_blur(image, low + (high - low) * position),
    ]
    return tf.switch_case(tf.cast(choice * len(branches), tf.int32), branches)
