"""Gaussian blur, equal to Pillow's."""

from __future__ import annotations

from keras_tnt.utils.lazy import tensorflow as tf

PASSES = 3  # of box blurs along each axis, which together are close to a Gaussian
UNIT = 2.0**24  # Pillow's weights are whole multiples of 1 / UNIT


def gaussian_blur(image: tf.Tensor, radius: tf.Tensor) -> tf.Tensor:
    """Blur an image as Pillow's `ImageFilter.GaussianBlur` does, to the gray level.

    Like Pillow, it averages over boxes of fractional width, three times along each
    axis, and rounds each time. Pixels outside of the image have the values of the
    border.

    Args:
        image: float32 (height, width, channels), whole numbers 0-255, of static shape.
        radius: standard deviation in pixels, a float32 scalar, more than 0 and at most
            2: the boxes are at most 5 pixels wide.

    Returns:
        An image of the same shape, whole numbers 0-255.
    """
    weights = _box_weights(radius)
    blurred = tf.cast(image, tf.float64)  # in which the sums are exact
    for axis in (1, 0):
        for _ in range(PASSES):
            blurred = _box_blur(blurred, weights, axis)
    return tf.ensure_shape(tf.cast(blurred, tf.float32), image.shape)


def _box_weights(radius):
    """The weights of a pixel, its neighbors and theirs, float64 (3,).

    The box of Gwosdek et al. (2011), equations 7, 11 and 14: the whole pixels have
    equal weights and both ends a part of it. The steps are rounded as in Pillow.
    """
    # TensorFlow would multiply by the rounded reciprocal of a float32 constant.
    variance = tf.cast(tf.cast(radius * radius, tf.float64) / PASSES, tf.float32)
    length = tf.sqrt(12 * tf.cast(variance, tf.float64) + 1)
    whole = tf.floor((tf.cast(length, tf.float32) - 1) / 2)  # at each side: 0 or 1
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    part /= 6 * (variance - (whole + 1) * (whole + 1))
    inner = tf.floor(UNIT / ((whole + part) * 2 + 1))
    outer = tf.floor((UNIT - (2 * whole + 1) * inner) / 2)
    is_wide = whole > 0
    ends = tf.where(is_wide, inner, outer), tf.where(is_wide, outer, 0.0)
    return tf.cast(tf.stack([inner, *ends]), tf.float64) / UNIT


def _box_blur(image, weights, axis):
    """The weighted mean over five pixels along an axis, rounded."""
    size = image.shape[axis]
    first, last = (tf.gather(image, [end], axis=axis) for end in (0, size - 1))
    padded = tf.concat([first, first, image, last, last], axis)
    far, near, own, near_too, far_too = (
        padded[:, start : start + size] if axis else padded[start : start + size]
        for start in range(5)
    )
    mean = weights[0] * own + weights[1] * (near + near_too)
    return tf.floor(mean + weights[2] * (far + far_too) + 0.5)
