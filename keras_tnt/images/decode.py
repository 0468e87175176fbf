"""Detecting the format of an encoded image, and decoding it."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from keras_tnt.images.formats.bmp import decode_bmp
from keras_tnt.images.formats.contents import padded_head
from keras_tnt.images.formats.gif import decode_gif
from keras_tnt.images.formats.jpeg import decode_jpeg
from keras_tnt.images.formats.png import decode_png
from keras_tnt.images.formats.webp import decode_webp
from keras_tnt.images.limits import MAX_JPEG_SCANS, MAX_PIXELS
from keras_tnt.images.orientation import orient
from keras_tnt.images.portable import decode_by_pillow
from keras_tnt.utils.assertions import assertion_text
from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.counts import check_count
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike, Tensor

# By format: position and value of its magic bytes.
SIGNATURES = {
    "JPEG": (0, b"\xff\xd8\xff"),
    "PNG": (0, b"\x89PNG"),
    "GIF": (0, b"GIF8"),
    "BMP": (0, b"BM"),
    "WebP": (8, b"WEBP"),
}


def decode_image(
    contents: Tensor | bytes,
    max_pixels: int = MAX_PIXELS,
    max_scans: int = MAX_JPEG_SCANS,
) -> Tensor:
    """Decode a JPEG, PNG, GIF, BMP or WebP image to RGB.

    Gray, palette, CMYK and 16-bit images become 8-bit RGB, 16-bit ones by their high
    bytes. Alpha is dropped, not blended, as by Pillow's `convert("RGB")`; transparent
    pixels of a GIF are black. Animations give their first frame. The EXIF orientation
    is not applied, as in the common ImageNet loaders; `load_image` applies it. JPEGs
    are decoded with the accurate transform and equal Pillow's; what phones append to
    them, such as a video, is ignored. BMPs may have 1, 4, 8, 24 or 32 bits per
    pixel, uncompressed.

    Untrusted bytes are safe: the number of pixels and of JPEG scans are checked in the
    headers, before memory is allocated.

    TensorFlow decodes, also inside `tf.data`. On Keras's other backends Pillow decodes
    bytes.

    Args:
        contents: an encoded image, `bytes` or a scalar string tensor.
        max_pixels: largest number of pixels; `keras_tnt.images.MAX_PIXELS` by default.
        max_scans: largest number of scans of a JPEG, each a pass over all pixels.

    Returns:
        A uint8 tensor (height, width, 3); an array if Pillow decodes.

    Raises:
        ValueError: if `contents` is not one encoded image but, for example, a path, or
            a limit is not a whole number of at least 1; or if Pillow cannot decode it.
        tf.errors.InvalidArgumentError: at run time, if the bytes are not an image of
            these formats, damaged, or too large.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.images import decode_image
        >>> encoded = tf.io.encode_png(tf.zeros((2, 5, 1), tf.uint8))
        >>> decode_image(encoded).shape
        TensorShape([2, 5, 3])
    """
    is_bytes = isinstance(contents, bytes)
    if not (is_bytes or _is_scalar_string(contents)):
        raise ValueError(
            "`contents` must be one encoded image, bytes or a scalar string tensor, "
            f"got {type(contents).__name__}. Use `load_image` for paths, and "
            "`tf.map_fn` for batches of encoded images."
        )
    max_pixels = check_count("max_pixels", max_pixels)
    max_scans = check_count("max_scans", max_scans)
    if is_bytes and not uses_tensorflow():
        try:
            return decode_by_pillow(contents, max_pixels, max_scans)
        except ValueError as error:
            reason = explain_failure(contents, error)
            raise ValueError(f"The image {reason}.") from error
    decoders = DECODERS | {"JPEG": functools.partial(decode_jpeg, max_scans=max_scans)}
    file_format = _find_format(contents) if is_bytes else None
    contents = tf.convert_to_tensor(contents, tf.string)
    if file_format:
        return decoders[file_format](contents, max_pixels)
    head = padded_head(contents, 12)
    branches = []
    for name, (position, magic) in SIGNATURES.items():
        found = tf.strings.substr(head, position, len(magic))
        decode = functools.partial(decoders[name], contents, max_pixels)
        branches.append((tf.equal(found, magic), decode))
    image = tf.case(branches, default=functools.partial(_refuse, head))
    image.set_shape((None, None, 3))
    return image


def load_image(
    path: PathLike,
    apply_orientation: bool = True,
    max_pixels: int = MAX_PIXELS,
    max_scans: int = MAX_JPEG_SCANS,
) -> Tensor:
    """Read and decode an image file; see `decode_image` for the formats.

    Args:
        path: the file, a string or path object.
        apply_orientation: whether to turn the image upright, as its EXIF orientation
            says. Training, evaluation and served models do not.
        max_pixels: largest number of pixels, as for `decode_image`.
        max_scans: largest number of scans of a JPEG.

    Returns:
        A uint8 tensor (height, width, 3).

    Raises:
        OSError: if the file cannot be read (`FileNotFoundError` if there is none).
        ValueError: if the file is empty, damaged, too large or of another format, or a
            limit is not a whole number of at least 1.

    Example:
        >>> import pathlib, tempfile
        >>> import tensorflow as tf
        >>> from keras_tnt.images import load_image
        >>> path = pathlib.Path(tempfile.mkdtemp(), "black.png")
        >>> encoded = tf.io.encode_png(tf.zeros((2, 5, 1), tf.uint8))
        >>> _ = path.write_bytes(encoded.numpy())
        >>> load_image(path).shape
        TensorShape([2, 5, 3])
    """
    contents = Path(path).read_bytes()
    max_pixels = check_count("max_pixels", max_pixels)
    max_scans = check_count("max_scans", max_scans)
    decode, failure = decode_by_pillow, ValueError
    if uses_tensorflow():
        decode, failure = decode_image, tf.errors.OpError
    try:
        image = decode(contents, max_pixels, max_scans)
    except failure as error:
        raise ValueError(
            f"{str(path)!r} cannot be decoded: it {explain_failure(contents, error)}. "
            f"Expected an image in one of the formats {', '.join(SIGNATURES)}."
        ) from error
    return orient(image, contents) if apply_orientation else image


def _find_format(contents):
    for name, (position, magic) in SIGNATURES.items():
        if contents[position : position + len(magic)] == magic:
            return name
    return None


def explain_failure(contents: bytes, error: Exception) -> str:
    """Say why an image cannot be decoded, such as "is empty".

    Args:
        contents: what was to be decoded.
        error: what `decode_image` raised.
    """
    if not contents:
        return "is empty"
    if name := _find_format(contents):
        reason = error if isinstance(error, ValueError) else _explain_limit(error)
        return f"starts like a {name} but {reason}"
    return f"starts with {contents[:8]!r}, which is no known format"


def _explain_limit(error):
    reason = assertion_text(error) or ""
    if size := re.match(r"Expected 1 to (\d+) pixels.* (-?\d+) (-?\d+)$", reason):
        limit, width, height = map(int, size.groups())
        if min(width, height) > 0:
            return f"is larger than {limit:,} pixels: {width} x {height} (`max_pixels`)"
    if "scans at most" in reason:
        return "has too many scans (`max_scans`)"
    return "is damaged or of an unsupported kind"


def _is_scalar_string(value):
    return (
        uses_tensorflow(value)
        and tf.is_tensor(value)
        and value.dtype == tf.string
        and value.shape.rank in (0, None)
    )


def _refuse(head):
    """The branch for bytes of no known format."""
    failure = tf.debugging.Assert(
        False, ["Unknown image format; the file starts with", head]
    )
    with tf.control_dependencies([failure]):
        return tf.zeros((1, 1, 3), tf.uint8)


DECODERS = {
    "JPEG": decode_jpeg,
    "PNG": decode_png,
    "GIF": decode_gif,
    "BMP": decode_bmp,
    "WebP": decode_webp,
}
