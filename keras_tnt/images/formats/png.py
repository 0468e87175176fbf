"""Decoding PNG images."""

from __future__ import annotations

from keras_tnt.images.formats.contents import number, padded_head
from keras_tnt.images.limits import check_size
from keras_tnt.utils.lazy import tensorflow as tf


def decode_png(contents: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Decode a PNG whose header, its first chunk, gives a size within the limit."""
    head = padded_head(contents, 24)
    width, height = (number(head, at, little_endian=False) for at in (16, 20))
    has_header = tf.equal(tf.strings.substr(head, 12, 4), b"IHDR")
    check = tf.debugging.Assert(has_header, ["A PNG must start with its header."])
    with tf.control_dependencies([check, check_size(width, height, max_pixels)]):
        return tf.io.decode_png(tf.identity(contents), channels=3)
