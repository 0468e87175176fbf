"""Image files that TensorFlow's decoder handles wrongly."""

from __future__ import annotations

from keras_tnt.utils.lazy import tensorflow as tf


def set_webp_alpha_flag(contents: tf.Tensor) -> tf.Tensor:
    """Set the alpha flag of an extended WebP file, to decode animations safely.

    Fault (memory safety): for an animation, `tf.io.decode_image` allocates three
    channels if the file's alpha flag is not set, but always writes four. It writes past
    the end of the buffer.
    Issue: no issue known.
    Seen in: TensorFlow 2.21.0 (first and last version checked).

    Args:
        contents: the bytes of a WebP file, a scalar string tensor.

    Returns:
        The bytes with the flag; ``contents`` if the file has no flags.
    """
    head = tf.strings.substr(contents, 0, 16) + b"\0" * 16
    is_extended = tf.equal(tf.strings.substr(head, 12, 4), b"VP8X")
    is_extended &= tf.strings.length(contents) > 20

    def with_flag():
        flags = tf.io.decode_raw(tf.strings.substr(contents, 20, 1), tf.uint8)[0]
        with_alpha = tf.constant([bytes([value | 0x10]) for value in range(256)])
        return tf.strings.join(
            [
                tf.strings.substr(contents, 0, 20),
                tf.gather(with_alpha, tf.cast(flags, tf.int32)),
                tf.strings.substr(contents, 21, -1),
            ]
        )

    return tf.cond(is_extended, with_flag, lambda: contents)
