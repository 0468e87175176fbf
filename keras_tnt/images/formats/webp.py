"""Decoding WebP images."""

from __future__ import annotations

from keras_tnt.compat.image_formats import set_webp_alpha_flag
from keras_tnt.images.formats.contents import number, padded_head
from keras_tnt.images.limits import check_size
from keras_tnt.utils.lazy import tensorflow as tf


def decode_webp(contents: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Decode a WebP, the first frame of an animated one.

    TensorFlow 2.21 writes four channels for every animation, but past the end of a
    buffer for three if the file's alpha flag is not set. So it gets set here.
    """
    head = padded_head(contents, 30)
    width, height = _size(head)
    with tf.control_dependencies([check_size(width, height, max_pixels)]):
        contents = set_webp_alpha_flag(contents)
    # The op refuses `channels=3` where there is alpha.
    return tf.io.decode_image(contents, expand_animations=False)[:, :, :3]


def _size(head):
    """Width and height, which each of the three kinds of WebP has elsewhere."""
    kind = tf.strings.substr(head, 12, 4)
    canvas = [number(head, at) % 2**24 + 1 for at in (24, 27)]
    lossy = [number(head, at, tf.uint16) % 2**14 for at in (26, 28)]
    bits = number(head, 21)
    lossless = [bits % 2**14 + 1, bits // 2**14 % 2**14 + 1]
    return tf.unstack(
        tf.case(
            [
                (tf.equal(kind, b"VP8X"), lambda: tf.stack(canvas)),
                (tf.equal(kind, b"VP8 "), lambda: tf.stack(lossy)),
                (tf.equal(kind, b"VP8L"), lambda: tf.stack(lossless)),
            ],
            default=lambda: tf.zeros(2, tf.int64),
        )
    )
