"""Conversion of colors to gray."""

import tensorflow as tf
from numpy.typing import ArrayLike

from keras_tnt.images.preprocess import check_scale


def rgb_to_gray(images: ArrayLike) -> tf.Tensor:
    """Convert color images to gray, as Pillow's `convert("L")` does.

    Training, prediction and the served signatures all use this function.

    Args:
        images: an array or tensor (..., 3) with values 0-255, uint8 or any other
            number type.

    Returns:
        A tensor (..., 1) of the same type, whole numbers 0-255.

    Raises:
        ValueError: if the values look scaled to 0-1.

    Example:
        >>> from keras_tnt.images import rgb_to_gray
        >>> rgb_to_gray([[[0, 0, 255], [255, 255, 255]]]).numpy()
        array([[[ 29],
                [255]]], dtype=int32)
    """
    check_scale(images)
    colors = tf.convert_to_tensor(images)
    red, green, blue = tf.split(tf.cast(colors, tf.float32), 3, axis=-1)
    # These are integers below 2**24, so float32 is exact.
    luma = tf.floor((19595 * red + 38470 * green + 7471 * blue + 32768) / 65536)
    return tf.cast(luma, colors.dtype)
