"""Conversion of colors to gray."""

import tensorflow as tf
from numpy.typing import ArrayLike


def rgb_to_gray(images: ArrayLike) -> tf.Tensor:
    """Convert color images to gray, as Pillow's `convert("L")` does.

    Training, prediction and the served signatures all use this function.

    Args:
        images: an array or tensor (..., 3) with values 0-255, uint8 or any other
            number type.

    Returns:
        A tensor (..., 1) of the same type, whole numbers 0-255.

    Example:
        >>> from keras_tnt.images import rgb_to_gray
        >>> rgb_to_gray([[[0, 0, 255], [255, 255, 255]]]).numpy()
        array([[[ 29],
                [255]]], dtype=int32)
    """
    images = tf.convert_to_tensor(images)
    red, green, blue = tf.split(tf.cast(images, tf.float32), 3, axis=-1)
    # These are integers below 2**24, so float32 is exact.
    luma = tf.floor((19595 * red + 38470 * green + 7471 * blue + 32768) / 65536)
    return tf.cast(luma, images.dtype)
