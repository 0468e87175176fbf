"""Reading the bytes of an encoded image with TensorFlow ops."""

from __future__ import annotations

from keras_tnt.utils.lazy import tensorflow as tf


def padded_head(contents: tf.Tensor, length: int) -> tf.Tensor:
    """Return the first bytes, padded with zeros: `substr` needs every position."""
    return tf.strings.join([tf.strings.substr(contents, 0, length), b"\0" * length])


def number(
    contents: tf.Tensor,
    position: int | tf.Tensor,
    dtype: tf.DType | str = "int32",
    little_endian: bool = True,
) -> tf.Tensor:
    """Return the number at a position of the bytes, as int64; it must exist."""
    dtype = tf.as_dtype(dtype)
    field = tf.strings.substr(contents, position, dtype.size)
    return tf.cast(tf.io.decode_raw(field, dtype, little_endian)[0], tf.int64)
