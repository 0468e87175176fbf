"""Conversion of colors to gray."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.images.preprocess import check_scale
from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Tensor


def rgb_to_gray(images: ArrayLike) -> Tensor:
    """Convert color images to gray, as Pillow's `convert("L")` does.

    Training, prediction and the served signatures all use this function.

    Args:
        images: an array or tensor (..., 3) with values 0-255, uint8 or any other
            number type.

    Returns:
        A tensor (..., 1) of the same type, whole numbers 0-255; on another backend
        than TensorFlow a NumPy array, unless the images are TensorFlow's.

    Raises:
        ValueError: if the values look scaled to 0-1.

    Example:
        >>> from keras_tnt.images import rgb_to_gray
        >>> rgb_to_gray([[[0, 0, 255], [255, 255, 255]]]).numpy()
        array([[[ 29],
                [255]]], dtype=int32)
    """
    check_scale(images)
    if uses_tensorflow(images):
        colors = tf.convert_to_tensor(images)
        luma = tf.floor(_luma(tf.cast(colors, tf.float32)))
        return tf.cast(luma, colors.dtype)
    colors = np.asarray(keras.ops.convert_to_numpy(images))
    return np.floor(_luma(colors.astype("float32"))).astype(colors.dtype)


def _luma(colors):
    # The sums are integers below 2**24, so float32 is exact.
    red, green, blue = (colors[..., i : i + 1] for i in range(3))
    return (19595 * red + 38470 * green + 7471 * blue + 32768) / 65536
