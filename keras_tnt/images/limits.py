"""Limits of decoding, checked in the headers before memory is allocated."""

import tensorflow as tf

MAX_PIXELS = 2**26  # 67 million, 8192 x 8192: enough for most cameras
# A progressive JPEG has about ten. Each is a pass over all pixels, in a few bytes.
MAX_JPEG_SCANS = 100


def check_size(width: tf.Tensor, height: tf.Tensor) -> tf.Operation:
    """Return an op that fails for an image without pixels, or with too many."""
    fits = (width > 0) & (height > 0) & (width * height <= MAX_PIXELS)
    return tf.debugging.Assert(
        fits,
        [f"Expected 1 to {MAX_PIXELS} pixels, got width, height:", width, height],
    )


def check_jpeg(contents: tf.Tensor) -> tf.Operation:
    """Return an op that fails for a JPEG that needs too much memory or time."""
    height, width, _ = tf.unstack(tf.image.extract_jpeg_shape(contents, tf.int64))
    data = tf.io.decode_raw(contents, tf.uint8)
    # Within coded pixels, 255 is always followed by 0 or another marker.
    starts = (data[:-1] == 0xFF) & (data[1:] == 0xDA)
    scans = tf.math.count_nonzero(starts)
    return tf.group(
        check_size(width, height),
        tf.debugging.Assert(
            scans <= MAX_JPEG_SCANS,
            [f"A JPEG may have {MAX_JPEG_SCANS} scans at most:", scans],
        ),
    )
