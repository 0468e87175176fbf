"""Reading the bytes of an encoded image with TensorFlow ops."""

import tensorflow as tf


def padded_head(contents: tf.Tensor, length: int) -> tf.Tensor:
    """The first bytes, zeros behind a shorter file: `substr` wants every position."""
    return tf.strings.join([tf.strings.substr(contents, 0, length), b"\0" * length])


def number(
    contents: tf.Tensor,
    position: int | tf.Tensor,
    dtype: tf.DType = tf.int32,
    little_endian: bool = True,
) -> tf.Tensor:
    """A number in the bytes at a position that is known to be there, as int64."""
    field = tf.strings.substr(contents, position, dtype.size)
    return tf.cast(tf.io.decode_raw(field, dtype, little_endian)[0], tf.int64)
