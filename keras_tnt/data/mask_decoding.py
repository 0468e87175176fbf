"""Decoding of masks: PNG files whose values are labels."""

from __future__ import annotations

import io

import numpy as np

from keras_tnt.data.mask_source import MaskSource
from keras_tnt.images.limits import MAX_PIXELS
from keras_tnt.utils.lazy import tensorflow as tf

# Pillow's modes of one value a pixel. In a palette, "P", the index is the label.
MODES = ("1", "L", "P", "I", "I;16")


def mask_labels(contents: bytes) -> np.ndarray:
    """Decode a mask.

    `tf.io.decode_png` turns a palette into colors, so Pillow decodes masks.

    Args:
        contents: a PNG file of one channel: gray of 8 or 16 bits, or a palette.

    Returns:
        An array ``(height, width)`` of whole numbers.

    Raises:
        ValueError: if it is anything else; the message says what the mask is.
    """
    from PIL import Image, UnidentifiedImageError

    if not contents:
        raise ValueError("has an empty mask")
    try:
        with Image.open(io.BytesIO(contents), formats=("PNG",)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(
                    f"has a mask of {height}x{width} pixels, more than {MAX_PIXELS:,}"
                )
            if image.mode not in MODES:
                raise ValueError(
                    f"has a mask of mode {image.mode}, expected one channel whose "
                    "values are labels"
                )
            return np.asarray(image).astype("int32")
    except UnidentifiedImageError:
        raise ValueError("has a mask that is no PNG file") from None
    except (OSError, SyntaxError) as error:  # what Pillow raises for damaged files
        raise ValueError(f"has a mask that cannot be decoded: {error}") from error


def decode_mask(source: MaskSource, contents: tf.Tensor) -> tf.Tensor:
    """Decode a mask in a TensorFlow graph.

    Args:
        source: the source, for its classes.
        contents: an encoded mask, a string scalar.

    Returns:
        The class of each pixel, an int32 tensor ``(height, width)``.

    Raises:
        tf.errors.InvalidArgumentError: at run time, if it cannot be decoded, or has
            labels of no class.
    """
    classes = tf.numpy_function(
        lambda data: source.to_classes(mask_labels(data)),
        [contents],
        tf.int32,
        stateful=False,
    )
    return tf.ensure_shape(classes, (None, None))


def mask_fault(
    source: MaskSource, contents: bytes, image_size: tuple[int, int]
) -> str | None:
    """Return what is wrong with a mask, or ``None``.

    Args:
        source: the source, for its classes.
        contents: the encoded mask.
        image_size: height and width of its image.
    """
    try:
        labels = mask_labels(contents)
        source.to_classes(labels)
    except ValueError as error:
        return str(error)
    return None if labels.shape == image_size else size_fault(labels.shape, image_size)


def size_fault(mask_size: tuple[int, ...], image_size: tuple[int, int]) -> str:
    """Say that a mask has another size than its image."""
    (rows, columns), (height, width) = mask_size, image_size
    return (
        f"has a mask of {rows}x{columns} pixels, expected {height}x{width}, the size "
        "of the image"
    )
