"""Decoding BMP images."""

from __future__ import annotations

from keras_tnt.images.formats.contents import number, padded_head
from keras_tnt.images.limits import check_size
from keras_tnt.utils.lazy import tensorflow as tf


def decode_bmp(contents: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Decode an uncompressed BMP.

    TensorFlow's own op reads palette indices as gray levels, supports neither 1 nor 4
    bits, and refuses files with bytes after the pixels.
    """
    head = padded_head(contents, 66)
    start, header, width, height = (number(head, at) for at in (10, 14, 18, 22))
    bits, compression = number(head, 28, tf.uint16), number(head, 30)
    known = (compression == 0) & tf.reduce_any(bits == [1, 4, 8, 24, 32])
    # Compression 3 means uncompressed with bit masks; only the usual ones are read.
    masks = tf.strings.substr(head, 54, 12)
    usual = tf.equal(masks, b"\0\0\xff\0\0\xff\0\0\xff\0\0\0")
    known |= (compression == 3) & (bits == 32) & usual
    tf.debugging.Assert(
        known & (header >= 40) & (start >= 14 + header),
        ["Unsupported kind of BMP: bits, compression:", bits, compression],
    )
    top_down, height = height < 0, tf.abs(height)
    with tf.control_dependencies([check_size(width, height, max_pixels)]):
        data = tf.io.decode_raw(contents, tf.uint8)
    stride = (width * bits + 31) // 32 * 4
    pixels = data[start : start + stride * height]
    rows = tf.reshape(pixels, [height, stride])
    rows = tf.cond(top_down, lambda: rows, lambda: tf.reverse(rows, [0]))

    def true_color():
        channels = bits // 8
        values = rows[:, : width * channels]
        return tf.reshape(values, [-1, width, channels])[:, :, 2::-1]

    def palette_color():
        shifts = tf.cast(tf.range(8 - bits, -1, -bits), tf.uint8)
        mask = tf.cast(2**bits - 1, tf.uint8)
        indices = tf.bitwise.right_shift(rows[:, :, tf.newaxis], shifts) & mask
        indices = tf.reshape(indices, [height, -1])[:, :width]
        palette = data[14 + header : 14 + header + (start - 14 - header) // 4 * 4]
        colors = tf.reshape(palette, [-1, 4])[:, 2::-1]
        return tf.gather(colors, tf.cast(indices, tf.int32))

    return tf.cond(bits > 8, true_color, palette_color)
