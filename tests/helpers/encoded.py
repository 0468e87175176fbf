"""Encoded images of every format and kind, for tests of what reads them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.helpers import ASSETS

IMAGE = ASSETS / "astronaut_small.png"
PHOTO = Image.open(IMAGE).convert("RGB").resize((61, 50))
GRAY = PHOTO.convert("L")


def encode(image, image_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def with_alpha(image):
    width, height = image.size
    ramp = np.linspace(0, 255, width * height).reshape(height, width)
    image = image.copy()
    image.putalpha(Image.fromarray(ramp.astype("uint8")))
    return image


def animated_webp(image, **options):
    frames = {"save_all": True, "append_images": [image.rotate(90)]}
    return encode(image, "WEBP", **frames, **options)


def with_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees"
    return encode(PHOTO, "JPEG", exif=exif)


def interlaced_png(image):
    """An Adam7 PNG, which Pillow reads but does not write."""
    pixels = np.asarray(image)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
    passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    lines = b""
    for top, left, down, across in passes:
        for row in pixels[top::down, left::across]:
            lines += b"\0" + row.tobytes()  # filter type 0: the bytes as they are
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body))
        + name
        + body
        + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def bmp(bits, top_down=False, header_size=40, compression=0):
    """A BMP of a kind that Pillow reads but does not write."""
    height, width = PHOTO.height, PHOTO.width
    tail = b"\0" * (header_size - 40)
    if bits > 8:
        rows = np.asarray(PHOTO)[:, :, ::-1]
        rows = np.pad(rows, ((0, 0), (0, 0), (0, bits // 8 - 3)))
        rows = rows.reshape(height, -1)
        tail = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF) if compression else tail
    else:
        image = PHOTO.quantize(2**bits)
        palette = np.array(image.getpalette()).reshape(-1, 3)[: 2**bits, ::-1]
        tail += np.pad(palette, ((0, 0), (0, 1))).astype("uint8").tobytes()
        indices = np.unpackbits(np.asarray(image)[:, :, None], axis=-1)
        rows = np.packbits(indices[:, :, -bits:].reshape(height, -1), axis=-1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    rows = rows if top_down else rows[::-1]
    signed_height = -height if top_down else height
    header = struct.pack(
        "<iiiHHiiiiii",
        *(header_size, width, signed_height, 1, bits, compression, 0, 0, 0, 0, 0),
    )
    start = 14 + len(header) + len(tail)
    return b"BM" + struct.pack("<iii", 0, 0, start) + header + tail + rows.tobytes()


# What Pillow's convert("RGB") makes of these is what decode_image must give.
AS_PILLOW = {
    "jpeg": encode(PHOTO, "JPEG", quality=90),
    "jpeg 4:4:4": encode(PHOTO, "JPEG", subsampling=0),
    "jpeg progressive": encode(PHOTO, "JPEG", progressive=True),
    "jpeg gray": encode(GRAY, "JPEG"),
    "jpeg cmyk": encode(PHOTO.convert("CMYK"), "JPEG"),
    "jpeg with orientation": with_orientation(),
    "png": encode(PHOTO, "PNG"),
    "png gray": encode(GRAY, "PNG"),
    "png 1 bit": encode(PHOTO.convert("1"), "PNG"),
    "png palette": encode(PHOTO.quantize(200), "PNG"),
    "png palette 4 bits": encode(PHOTO.quantize(16), "PNG", bits=4),
    "png palette transparent": encode(PHOTO.quantize(200), "PNG", transparency=3),
    "png gray alpha": encode(with_alpha(GRAY), "PNG"),
    "png alpha": encode(with_alpha(PHOTO), "PNG"),
    "png interlaced": interlaced_png(PHOTO),
    "gif": encode(PHOTO, "GIF"),
    "gif animated": encode(
        PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(90)]
    ),
    "bmp": encode(PHOTO, "BMP"),
    "bmp gray": encode(GRAY, "BMP"),
    "bmp palette": encode(PHOTO.quantize(200), "BMP"),
    "bmp black and white": encode(PHOTO.convert("1"), "BMP"),
    "bmp alpha": encode(with_alpha(PHOTO), "BMP"),
    "bmp 1 bit": bmp(1),
    "bmp 4 bits": bmp(4),
    "bmp 8 bits": bmp(8, header_size=124),
    "bmp top-down": bmp(24, top_down=True),
    "bmp palette top-down": bmp(4, top_down=True),
    "bmp 32 bits": bmp(32),
    "bmp with masks": bmp(32, compression=3),
    "bmp with bytes behind": encode(PHOTO, "BMP") + b"\0\0",
    "webp": encode(PHOTO, "WEBP", quality=90),
    "webp alpha": encode(with_alpha(PHOTO), "WEBP", lossless=True, exact=True),
    "webp animated": animated_webp(PHOTO),
    "webp animated, lossless": animated_webp(PHOTO, lossless=True),
    "webp animated, alpha": animated_webp(with_alpha(PHOTO), lossless=True, exact=True),
    "webp animated, profile": animated_webp(PHOTO, icc_profile=b"P" * 128, exif=b"E"),
}
