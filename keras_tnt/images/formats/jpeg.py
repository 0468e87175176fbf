"""Decoding JPEG images."""

from __future__ import annotations

from keras_tnt.images.limits import MAX_JPEG_SCANS, MAX_PIXELS, check_size
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.lazy import tf_function

END_OF_IMAGE, START_OF_SCAN = 0xD9, 0xDA
SCAN_MARKER = bytes([0xFF, START_OF_SCAN])
MAX_SEGMENTS = 2_000  # an image has some tens, with large metadata some hundreds


def decode_jpeg(
    contents: tf.Tensor, max_pixels: int, max_scans: int = MAX_JPEG_SCANS
) -> tf.Tensor:
    """Decode a JPEG within the limits."""
    contents = checked_jpeg(contents, max_pixels, max_scans)
    return tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")


def checked_jpeg(
    contents: tf.Tensor, max_pixels: int = MAX_PIXELS, max_scans: int = MAX_JPEG_SCANS
) -> tf.Tensor:
    """Return the contents, or fail if they need too much memory or time.

    Only the scans of the first image count: phones append a video or more images.

    Args:
        contents: the bytes of a JPEG, a scalar string tensor.
        max_pixels: largest number of pixels.
        max_scans: largest number of scans.
    """
    height, width, _ = tf.unstack(tf.image.extract_jpeg_shape(contents, tf.int64))
    # Within coded pixels, 255 is always followed by 0 or another marker.
    # Outside of a graph, `tf.strings.split` takes 5 ms.
    parts = tf.raw_ops.StringSplitV2(
        input=[contents], sep=SCAN_MARKER, maxsplit=max_scans + 1
    ).values
    # No more scans than these: most images need no look at their segments.
    scans = tf.size(parts, tf.int64) - 1
    scans = tf.cond(
        scans > max_scans,
        lambda: count_scans(tf.io.decode_raw(contents, tf.uint8), max_scans),
        lambda: scans,
    )
    checks = [
        check_size(width, height, max_pixels),
        tf.debugging.Assert(
            scans <= max_scans, [f"A JPEG may have {max_scans} scans at most:", scans]
        ),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(contents)


# Outside of a graph, each turn of the loop would take milliseconds.
@tf_function(
    lambda: [tf.TensorSpec([None], tf.uint8), tf.TensorSpec([], tf.int64)],
    autograph=False,
)
def count_scans(data: tf.Tensor, max_scans: tf.Tensor) -> tf.Tensor:
    """Count the scans before the end of the first image, up to one too many.

    Follows the segments as libjpeg does. A segment is a marker, 255 and its kind, and
    has its length in two bytes; so an image inside of one, a thumbnail, is skipped. A
    scan is followed by coded pixels up to the next marker.
    """
    size = tf.size(data, tf.int64)
    kinds = data[1:]
    # Kinds below 0xC0 do not start a segment, nor do the restarts within a scan.
    is_marker = (data[:-1] == 0xFF) & (kinds >= 0xC0) & (kinds != 0xFF)
    is_marker &= (kinds < 0xD0) | (kinds > 0xD8)
    markers = tf.concat([tf.where(is_marker)[:, 0], [size]], axis=0)
    padded = tf.cast(tf.concat([data, tf.zeros(4, tf.uint8)], axis=0), tf.int64)

    def marker_from(position):
        return markers[tf.searchsorted(markers, [position])[0]]

    def goes_on(position, scans, segments):
        within = (position < size) & (padded[position + 1] != END_OF_IMAGE)
        return within & (scans <= max_scans) & (segments < MAX_SEGMENTS)

    def follow(position, scans, segments):
        scans += tf.cast(padded[position + 1] == START_OF_SCAN, tf.int64)
        length = padded[position + 2] * 256 + padded[position + 3]
        behind = tf.minimum(position + 2 + length, size)
        return marker_from(behind), scans, segments + 1

    zero = tf.constant(0, tf.int64)
    start = marker_from(tf.constant(2, tf.int64))
    _, scans, segments = tf.while_loop(goes_on, follow, [start, zero, zero])
    return tf.where(segments < MAX_SEGMENTS, scans, max_scans + 1)
