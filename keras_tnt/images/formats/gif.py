"""Decoding GIF images."""

from __future__ import annotations

from keras_tnt.images.formats.contents import number, padded_head
from keras_tnt.images.limits import check_size
from keras_tnt.utils.lazy import tensorflow as tf

EXTENSION, FRAME, END = 0x21, 0x2C, b"\x3b"
MAX_EXTENSIONS = 100  # before the first frame; comments and the like, often one


def decode_gif(contents: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Decode the first frame of a GIF.

    TensorFlow's op decodes all frames before it drops them, at the sizes that their
    headers state. So the file is cut after the first frame.
    """
    head = padded_head(contents, 13)
    screen_width, screen_height = (number(head, at, tf.uint16) for at in (6, 8))
    data = tf.cast(tf.io.decode_raw(contents, tf.uint8), tf.int32)
    behind = _ends_of_blocks(data)

    def is_extension(at):
        # The op's library reads an empty one, and all that follows, differently.
        return (data[at] == EXTENSION) & (data[at + 2] > 0)

    colors = number(head, 10, tf.uint8)
    start = 13 + tf.cast(_size_of_colors(colors), tf.int32)
    (frame,) = tf.while_loop(
        is_extension,
        lambda at: [behind[at + 2]],
        [start],
        maximum_iterations=MAX_EXTENSIONS,
    )
    check = tf.debugging.Assert(
        data[frame] == FRAME, ["Expected a frame in a GIF, got:", data[frame]]
    )
    with tf.control_dependencies([check]):
        fields = tf.strings.substr(contents, frame, 10)
    left, top, width, height = (number(fields, at, tf.uint16) for at in (1, 3, 5, 7))
    colors = number(fields, 9, tf.uint8)
    pixels = frame + 10 + tf.cast(_size_of_colors(colors), tf.int32) + 1
    first = tf.strings.join([tf.strings.substr(contents, 0, behind[pixels]), END])
    canvas_width = tf.maximum(screen_width, left + width)
    canvas_height = tf.maximum(screen_height, top + height)
    checks = [
        check_size(width, height, max_pixels),
        check_size(canvas_width, canvas_height, max_pixels),
    ]
    with tf.control_dependencies(checks):
        return tf.io.decode_gif(tf.identity(first))[0]


def _size_of_colors(flags):
    """Bytes of a color table, if flags announce one."""
    return tf.where(flags >= 128, 3 * 2 ** (flags % 8 + 1), 0)


def _ends_of_blocks(data):
    """For each position, the end of a chain of sub-blocks that starts there.

    A sub-block is its length and as many bytes; length 0 ends the chain. Pointer
    doubling needs as many steps as the file length has bits, for any number of
    sub-blocks. A chain that leaves the file ends outside of it.
    """
    size = tf.shape(data)[0]
    positions = tf.range(size)
    # The last entry stands for everything after the file.
    jumps = tf.where(data == 0, positions, tf.minimum(positions + data + 1, size))
    jumps = tf.concat([jumps, [size]], axis=0)
    _, jumps = tf.while_loop(
        lambda reach, _: reach < size,
        lambda reach, jumps: [reach * 2, tf.gather(jumps, jumps)],
        [1, jumps],
    )
    return jumps + 1
