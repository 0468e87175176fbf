"""Decoding with Pillow and resizing with NumPy, for Keras's other backends."""

import io
import re
from collections.abc import Sequence

import numpy as np

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
SEGMENT = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
SUPPORT = 2.0  # radius of the bicubic kernel, in pixels


def decode_by_pillow(contents: bytes, max_pixels: int, max_scans: int) -> np.ndarray:
    """Decode an image to RGB, as `keras_tnt.images.decode_image` describes.

    Args:
        contents: the encoded image, in one of the formats of `decode_image`.
        max_pixels: largest number of pixels.
        max_scans: largest number of scans of a JPEG.

    Returns:
        A uint8 array ``(height, width, 3)``.

    Raises:
        ValueError: if the image is damaged or too large; the text goes on after the
            name of a file and "but".
        ImportError: if Pillow is not installed.
    """
    image_module = _import_pillow()
    try:
        open_image = image_module.open
        image = open_image(io.BytesIO(contents), formats=FORMATS)
        width, height = image.size
        if width * height > max_pixels:
            raise ValueError(
                f"is larger than {max_pixels:,} pixels: {width} x {height} "
                "(`max_pixels`)"
            )
        is_jpeg = image.format in ("JPEG", "MPO")  # photographs of several images
        if is_jpeg and _count_scans(contents, max_scans) > max_scans:
            raise ValueError("has too many scans (`max_scans`)")
        return _to_rgb(image)
    except image_module.DecompressionBombError as error:
        raise ValueError(f"is too large: {error}") from error
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"is damaged or of an unsupported kind ({error})") from error


def _import_pillow():
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Reading images without TensorFlow needs Pillow, which is not installed: "
            "pip install pillow"
        ) from error
    return Image


def _to_rgb(image):
    """The first frame as 8-bit RGB: 16-bit values by their high bytes, no alpha."""
    if image.mode.startswith("I"):
        gray = (np.asarray(image).astype("uint32") >> 8).astype("uint8")
        return np.repeat(gray[..., None], 3, axis=-1)
    transparent = image.info.get("transparency") if image.format == "GIF" else None
    rgb = np.array(image.convert("RGB"))
    if transparent is not None and image.mode == "P":
        rgb[np.asarray(image) == transparent] = 0
    return rgb


def _count_scans(contents, limit):
    """The scans before the end of a JPEG, up to one more than the limit."""
    position, scans = 2, 0
    while scans <= limit and (marker := SEGMENT.search(contents, position)):
        kind = marker[1][0]
        if kind == 0xD9:
            break
        scans += kind == 0xDA
        length = int.from_bytes(contents[marker.end() : marker.end() + 2], "big")
        position = marker.end() + max(length, 2)
    return scans


def resize_and_crop(
    images: np.ndarray, size: Sequence[int], box: Sequence[int]
) -> np.ndarray:
    """Resize images to cover a box, and crop the center; bicubic, with antialias.

    Args:
        images: ``(batch, height, width, channels)``, numbers 0-255.
        size: height and width of the crop.
        box: height and width of the box that the resized image just covers.

    Returns:
        A float32 array ``(batch, *size, channels)``, whole numbers 0-255.
    """
    old = images.shape[1:3]
    if box[0] * old[1] >= box[1] * old[0]:
        new = (box[0], box[0] * old[1] // old[0])
    else:
        new = (box[1] * old[0] // old[1], box[1])
    down, across = (_weights(*sides) for sides in zip(old, new, size, strict=True))
    values = images.astype("float32")
    values = _round(np.einsum("xw,bhwc->bhxc", across, values, optimize=True))
    return _round(np.einsum("yh,bhxc->byxc", down, values, optimize=True))


def _weights(old, new, size):
    """The weights of the old pixels in each pixel of the crop, ``(size, old)``."""
    scale = new / old
    corner = np.round((new - size) / 2)
    centers = (np.arange(size) + corner + 0.5) / scale - 0.5
    distances = (np.arange(old) - centers[:, None]) * min(scale, 1)
    weights = _bicubic(np.abs(distances))
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")


def _bicubic(x):
    """Keys's kernel with a = -0.5, as in Pillow."""
    inner = (1.5 * x - 2.5) * x * x + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, inner, np.where(x < SUPPORT, outer, 0))


def _round(values):
    return np.clip(np.floor(values + 0.5), 0, 255)
