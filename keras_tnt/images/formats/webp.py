"""Decoding WebP images."""

import tensorflow as tf

from keras_tnt.images.formats.contents import number, padded_head
from keras_tnt.images.limits import check_size


def decode_webp(contents: tf.Tensor) -> tf.Tensor:
    """Decode a WebP, the first frame of an animated one.

    TensorFlow 2.21 writes four channels for every animation, but past the end of a
    buffer for three if the file's alpha flag is not set. So it gets set here.
    """
    head = padded_head(contents, 30)
    flags = tf.cast(number(head, 20, tf.uint8), tf.int32)
    with_alpha = tf.constant([bytes([value | 0x10]) for value in range(256)])

    def set_alpha_flag():
        before = tf.strings.substr(contents, 0, 20)
        behind = tf.strings.substr(contents, 21, -1)
        return tf.strings.join([before, tf.gather(with_alpha, flags), behind])

    has_flags = tf.equal(tf.strings.substr(head, 12, 4), b"VP8X")
    has_flags &= tf.strings.length(contents) > 20
    with tf.control_dependencies([check_size(*_size(head))]):
        contents = tf.cond(has_flags, set_alpha_flag, lambda: contents)
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
