"""The orientation in which a camera was held, from an image's EXIF data."""

from __future__ import annotations

import struct

import numpy as np

from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Tensor

TAG = 0x0112
# Whether rows and columns change places; then the axes that are reversed.
TRANSFORMS = {
    2: (False, [1]),
    3: (False, [0, 1]),
    4: (False, [0]),
    5: (True, []),
    6: (True, [1]),
    7: (True, [0, 1]),
    8: (True, [0]),
}


def orient(image: Tensor, contents: bytes) -> Tensor:
    """Turn and mirror a decoded image as its EXIF orientation says.

    Args:
        image: the decoded image (height, width, channels), a tensor or array.
        contents: the encoded image, a JPEG, PNG or WebP; others have no orientation.

    Returns:
        The image upright; unchanged if there is no orientation, or an unknown one.
    """
    transposed, reversed_axes = TRANSFORMS.get(read_orientation(contents), (False, []))
    if isinstance(image, np.ndarray):
        image = image.transpose((1, 0, 2)) if transposed else image
        return np.flip(image, tuple(reversed_axes))
    if transposed:
        image = tf.transpose(image, (1, 0, 2))
    return tf.reverse(image, reversed_axes) if reversed_axes else image


def read_orientation(contents: bytes) -> int:
    """Return the EXIF orientation of an encoded image, 1 to 8; 1 if there is none."""
    try:
        return _orientation_of_tiff(_find_exif(contents))
    except (IndexError, struct.error):  # cut off or damaged
        return 1


def _find_exif(contents):
    """The EXIF data of an image, a TIFF file; empty if there is none."""
    if contents.startswith(b"\xff\xd8"):
        return _exif_of_jpeg(contents)
    if contents.startswith(b"\x89PNG"):
        return _exif_of_chunks(contents, 8, ">I4s", b"eXIf", b"IEND")
    if contents.startswith(b"RIFF"):
        return _exif_of_chunks(contents, 12, "<4sI", b"EXIF", None)
    return b""


def _exif_of_jpeg(contents):
    position = 2
    while contents[position] == 0xFF:
        marker = contents[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in (0xD9, 0xDA):  # the metadata comes before the pixels
            break
        (length,) = struct.unpack_from(">H", contents, position + 2)
        segment = contents[position + 4 : position + 2 + length]
        if marker == 0xE1 and segment.startswith(b"Exif\0"):
            return segment[6:]
        position += 2 + length
    return b""


def _exif_of_chunks(contents, position, header, wanted, last):
    """The content of a chunk of a PNG or WebP."""
    is_png = header.startswith(">")
    while position < len(contents):
        fields = struct.unpack_from(header, contents, position)
        length, name = fields if is_png else fields[::-1]
        if name == wanted:
            exif = contents[position + 8 : position + 8 + length]
            return exif.removeprefix(b"Exif\0\0")
        if name == last:
            break
        # A checksum follows in a PNG, a byte after an odd length in a WebP.
        position += 8 + length + (4 if is_png else length % 2)
    return b""


def _orientation_of_tiff(exif):
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    (directory,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, entry)
        if tag == TAG:
            return value
    return 1
