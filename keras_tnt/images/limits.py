"""Limits of decoding, checked in the headers before memory is allocated."""

from __future__ import annotations

from keras_tnt.utils.lazy import tensorflow as tf

MAX_PIXELS = 2**26  # 67 million, 8192 x 8192: enough for most cameras
# A progressive JPEG has about ten. Each is a pass over all pixels, in a few bytes.
MAX_JPEG_SCANS = 100


def check_size(width: tf.Tensor, height: tf.Tensor, max_pixels: int) -> tf.Operation:
    """Return an op that fails for an image without pixels, or with too many."""
    fits = (width > 0) & (height > 0) & (width * height <= max_pixels)
    return tf.debugging.Assert(
        fits,
        [f"Expected 1 to {max_pixels} pixels, got width, height:", width, height],
    )
