"""Small files that would cost much memory or time are refused, and others are not."""

import io
import math
import resource
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tnt.images import MAX_PIXELS, decode_image, load_image
from tests.helpers.encoded import AS_PILLOW, GRAY, PHOTO, animated_webp, encode

TOO_LARGE = "Expected 1 to 67108864 pixels"


def patched(contents, position, *fields):
    """Contents with some bytes overwritten; fields as for `struct.pack`."""
    data = struct.pack(*fields)
    return contents[:position] + data + contents[position + len(data) :]


def png(width, height):
    """A whole, valid PNG, black and white."""
    lines = zlib.compress((b"\0" + b"\0" * -(-width // 8)) * height, 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", lines), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body))
        + name
        + body
        + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def jpeg(width, height):
    """A JPEG whose frame header gives another size."""
    contents = encode(PHOTO, "JPEG")
    return patched(contents, contents.index(b"\xff\xc0") + 5, ">HH", height, width)


def gif(frames):
    """A GIF whose frames say they have another size."""
    contents = encode(GRAY, "GIF", save_all=True, append_images=[GRAY.rotate(90)])
    start = 13
    for width, height in frames:
        start = contents.index(b"\x2c\0\0\0\0", start) + 5
        contents = patched(contents, start, "<HH", width, height)
    return contents


def lossless_webp(width, height):
    contents = encode(PHOTO, "WEBP", lossless=True)
    return patched(contents, 21, "<I", (width - 1) | (height - 1) << 14)


def animation_webp(width, height):
    sides = [struct.pack("<I", side - 1)[:3] for side in (width, height)]
    return patched(animated_webp(PHOTO), 24, "3s3s", *sides)


BOMBS = {
    "png": png(30_000, 30_000),
    "png wide": png(2**26 + 1, 1),
    "png negative": patched(png(9, 9), 16, ">II", 2**31 + 1, 9),
    "jpeg": jpeg(65_000, 65_000),
    "gif screen": patched(AS_PILLOW["gif"], 6, "<HH", 65_535, 65_535),
    "gif frame": gif([(65_535, 65_535)]),
    "bmp": patched(AS_PILLOW["bmp 1 bit"], 18, "<ii", 100_000, 100_000),
    "bmp top-down": patched(AS_PILLOW["bmp 1 bit"], 18, "<ii", 100_000, -100_000),
    "webp": patched(AS_PILLOW["webp"], 26, "<HH", 16_383, 16_383),
    "webp lossless": lossless_webp(16_384, 16_384),
    "webp animated": animation_webp(2**24, 2**24),
}


SIXTEEN_BITS_PNG = tf.io.encode_png(tf.cast(PHOTO, tf.uint16) * 257).numpy()


@pytest.mark.parametrize("kind", BOMBS)
def test_decode_image__bomb_takes_no_memory(kind):
    assert len(BOMBS[kind]) < 500_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(tf.errors.InvalidArgumentError, match=TOO_LARGE):
        decode_image(BOMBS[kind])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 100_000  # KiB; they would take gigabytes


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "webp"])
def test_decode_image__no_pixels(kind):
    position, form = {
        "jpeg": (AS_PILLOW["jpeg"].index(b"\xff\xc0") + 5, ">HH"),
        "png": (16, ">II"),
        "gif": (AS_PILLOW["gif"].index(b"\x2c\0\0\0\0") + 5, "<HH"),
        "bmp": (18, "<ii"),
        "webp": (26, "<HH"),
    }[kind]
    contents = patched(AS_PILLOW[kind], position, form, 0, 9)
    with pytest.raises(tf.errors.OpError):
        decode_image(contents)


def test_load_image__over_limit(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(BOMBS["png"])
    with pytest.raises(ValueError, match=r"bomb\.png.*larger than 67,108,864 pixels"):
        load_image(path)


def test_decode_image__largest():
    side = math.isqrt(MAX_PIXELS)
    assert decode_image(png(side, side)).shape == (side, side, 3)


@pytest.mark.parametrize("size", [(10_000, 3), (3, 10_000), (1, 1)])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_decode_image__unusual_sizes(size, image_format):
    contents = encode(PHOTO.resize(size), image_format)
    expected = np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))
    np.testing.assert_array_equal(decode_image(contents), expected)


def scans(number):
    """A progressive JPEG with its last scan repeated."""
    contents = AS_PILLOW["jpeg progressive"]
    last = contents[contents.rindex(b"\xff\xda") : -2]
    present = contents.count(b"\xff\xda")
    return contents[:-2] + last * (number - present) + contents[-2:]


def test_decode_image__many_scans():
    assert decode_image(scans(100)).shape == (50, 61, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="100 scans at most"):
        decode_image(scans(101))


def test_decode_image__later_frames_of_gif():
    """TensorFlow's op would take 4 GB for the second one here, and then drop it."""
    contents = gif([(61, 50), (65_535, 65_535)])
    np.testing.assert_array_equal(decode_image(contents), decode_image(gif([])))


def block(*lengths):
    """Sub-blocks of a GIF of the given lengths."""
    return b"".join(bytes([length]) + b"\x2c" * length for length in (*lengths, 0))


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [b"\xf9" + block(4)],
        [b"\xfe" + block(255, 255, 1, 2, 44), b"\xff" + block(9), b"\xfe" + block(44)],
        [b"\xfe" + block(*[1] * 300_000)],
        [b"\xfe" + block(1)] * 99,
    ],
    ids=["none", "one", "several", "of many blocks", "many"],
)
def test_decode_image__gif_extensions(extensions):
    contents = encode(GRAY, "GIF")
    start = contents.index(b"\x2c\0\0\0\0")
    extensions = b"".join(b"\x21" + extension for extension in extensions)
    found = decode_image(contents[:start] + extensions + contents[start:])
    np.testing.assert_array_equal(found, decode_image(contents))


@pytest.mark.parametrize(
    "extensions",
    [(b"\x21\xfe" + block(1)) * 101, b"\x21\xfe" + block()],
    ids=["very many", "empty, which the op reads otherwise"],
)
def test_decode_image__damaged_gif_extensions(extensions):
    contents = encode(GRAY, "GIF")
    start = contents.index(b"\x2c\0\0\0\0")
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected a frame in a"):
        decode_image(contents[:start] + extensions + contents[start:])


@pytest.mark.parametrize("colors", [2, 200])
def test_decode_image__gif_local_colors(colors):
    """A GIF may have a color table for all frames, or one in each."""
    contents = encode(PHOTO.quantize(colors), "GIF")
    size = 3 * 2 ** (contents[10] % 8 + 1)
    table, rest = contents[13 : 13 + size], contents[13 + size :]
    start = rest.index(b"\x2c\0\0\0\0")
    flags = rest[start + 9] | 0x80 | contents[10] % 8
    frame = patched(rest[start:], 9, "B", flags)
    frame = frame[:10] + table + frame[10:]
    local = patched(contents[:13], 10, "B", 0) + rest[:start] + frame
    np.testing.assert_array_equal(decode_image(local), decode_image(contents))


decode_in_graph = tf.function(
    decode_image, input_signature=[tf.TensorSpec([], tf.string)]
)
VIDEO = np.random.default_rng(0).bytes(12_000_000)  # as in a motion photo


@pytest.mark.parametrize("decode", [decode_image, decode_in_graph])
@pytest.mark.parametrize("kind", ["jpeg", "jpeg progressive"])
def test_decode_image__data_after_end_of_jpeg(kind, decode):
    contents = AS_PILLOW[kind]
    assert VIDEO.count(b"\xff\xda") > 100
    expected = np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))
    np.testing.assert_array_equal(decode(contents + VIDEO), expected)


def segment(kind, body):
    return bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body


THUMBNAIL = b"\xff\xd8" + b"\xff\xda\0\x02\x11" * 200 + b"\xff\xd9"


@pytest.mark.parametrize("decode", [decode_image, decode_in_graph])
def test_decode_image__scans_inside_jpeg_segment(decode):
    """Neither do they end the image: what is behind them counts."""
    thumbnail = segment(0xE1, b"Exif\0\0" + THUMBNAIL)
    inserted = b"\xff" + thumbnail  # with a fill byte
    contents = AS_PILLOW["jpeg progressive"]
    found = decode(contents[:2] + inserted + contents[2:])
    np.testing.assert_array_equal(found, decode_image(contents))
    with pytest.raises(tf.errors.InvalidArgumentError, match="100 scans at most"):
        decode(scans(101)[:2] + inserted + scans(101)[2:] + VIDEO)


@pytest.mark.parametrize(
    "hidden",
    [
        b"\xff\x02\xff\xff",
        b"\xff\xd8",
        b"\xff\xd0",
        b"\xff\x01",
        b"\xff\0\0\x05",
        b"\7",
    ],
    ids=["reserved", "second start", "restart", "temporary", "escaped", "garbage"],
)
def test_decode_image__hidden_jpeg_scans(hidden):
    """Bytes before the last scans that are no segment do not skip them."""
    contents = scans(101)
    place = contents.rindex(b"\xff\xda")
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(contents[:place] + hidden + contents[place:])


def test_decode_image__many_jpeg_segments():
    contents = AS_PILLOW["jpeg"]
    comments = segment(0xFE, b"") * 20_000
    found = decode_image(contents[:2] + comments + contents[2:])  # no scans to count
    np.testing.assert_array_equal(found, decode_image(contents))
    comments = segment(0xFE, b"\xff\xda") * 20_000
    with pytest.raises(tf.errors.InvalidArgumentError, match="100 scans at most"):
        decode_image(contents[:2] + comments + contents[2:])


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "webp"])
def test_decode_image__max_pixels(kind, tmp_path):
    pixels = PHOTO.width * PHOTO.height
    contents = AS_PILLOW[kind]
    assert decode_image(contents, max_pixels=pixels).shape == (50, 61, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"1 to {pixels - 1} pix"):
        decode_image(contents, max_pixels=pixels - 1)
    path = tmp_path / "image"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match="larger than 9 pixels: 61 x 50"):
        load_image(path, max_pixels=9)


def test_decode_image__max_scans(tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(scans(101))
    assert load_image(path, max_scans=101).shape == (50, 61, 3)
    with pytest.raises(ValueError, match="has too many scans"):
        load_image(path)
    with pytest.raises(tf.errors.InvalidArgumentError, match="5 scans at most"):
        decode_image(AS_PILLOW["jpeg progressive"], max_scans=5)
