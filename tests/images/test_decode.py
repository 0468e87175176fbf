"""Decoding: as Pillow does it, and without harm from any bytes."""

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_tnt.images import decode_image, load_image
from tests.helpers.encoded import AS_PILLOW, GRAY, PHOTO, bmp, encode

HIGH_BYTES = np.asarray(GRAY).astype("uint16") << 8
SIXTEEN_BITS = HIGH_BYTES + 0xF0  # low bytes that rounding would carry over

decode_in_graph = tf.function(
    decode_image, input_signature=[tf.TensorSpec([], tf.string)]
)


@pytest.mark.parametrize("decode", [decode_image, decode_in_graph])
@pytest.mark.parametrize("kind", AS_PILLOW)
def test_decode_image__equal_to_pillow(kind, decode):
    contents = AS_PILLOW[kind]
    expected = np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))
    assert expected.shape == (50, 61, 3)
    np.testing.assert_array_equal(decode(contents), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_decode_image__16_bits(channels):
    # Pillow clips 16-bit gray instead of scaling it, so it is no reference here.
    pixels = np.repeat(SIXTEEN_BITS[:, :, None], channels, axis=-1)
    decoded = decode_image(tf.io.encode_png(pixels))
    np.testing.assert_array_equal(
        decoded, np.repeat(np.asarray(GRAY)[..., None], 3, -1)
    )


def test_decode_image__transparent_gif():
    image = PHOTO.quantize(100)
    contents = encode(image, "GIF", transparency=3)
    expected = np.asarray(image.convert("RGB")) * (np.asarray(image) != 3)[..., None]
    np.testing.assert_array_equal(decode_image(contents), expected)


def test_decode_image__static_shape():
    assert decode_in_graph.get_concrete_function().output_shapes == (None, None, 3)


@pytest.mark.parametrize(
    "contents", ["cat.png", 7, tf.constant([b"a", b"b"]), b"x".hex]
)
def test_decode_image__not_one_image(contents):
    with pytest.raises(ValueError, match="one encoded image"):
        decode_image(contents)


@pytest.mark.parametrize("decode", [decode_image, decode_in_graph])
@pytest.mark.parametrize(
    "contents", [bmp(24)[:28] + b"\x10" + bmp(24)[29:], bmp(32, compression=1)]
)
def test_decode_image__unsupported_bmp(contents, decode):
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unsupported kind of BMP"):
        decode(contents)


def assert_decodes_or_raises(contents):
    try:
        image = decode_image(contents)
    except tf.errors.OpError:
        return
    assert image.dtype == tf.uint8
    assert image.shape.rank == 3
    assert image.shape[-1] == 3


@given(
    start=st.sampled_from(
        [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM"]
    )
    | st.just(b"RIFF\x40\0\0\0WEBPVP8 "),
    rest=st.binary(max_size=200),
)
@settings(max_examples=300, deadline=None)
def test_decode_image__random_bytes(start, rest):
    assert_decodes_or_raises(start + rest)


@given(
    contents=st.sampled_from(list(AS_PILLOW.values())),
    keep=st.floats(0, 1),
    noise=st.binary(max_size=20),
)
@settings(max_examples=300, deadline=None)
def test_decode_image__mutated(contents, keep, noise):
    cut = round(keep * len(contents))
    assert_decodes_or_raises(contents[:cut])
    assert_decodes_or_raises(contents[:cut] + noise + contents[cut + len(noise) :])


@pytest.mark.parametrize(
    "kind", ["jpeg", "png", "gif", "bmp", "bmp palette", "webp", "webp animated"]
)
def test_decode_image__truncated(kind, tmp_path):
    path = tmp_path / "half.image"
    path.write_bytes(AS_PILLOW[kind][: len(AS_PILLOW[kind]) // 2])
    with pytest.raises(ValueError, match=r"half\.image.*damaged.*JPEG, PNG, GIF"):
        load_image(path)


def test_load_image__equal_to_pillow(tmp_path):
    path = tmp_path / "image.dat"  # the name does not matter
    path.write_bytes(AS_PILLOW["png"])
    np.testing.assert_array_equal(load_image(str(path)), np.asarray(PHOTO))


@pytest.mark.parametrize(
    ("contents", "found"),
    [(b"", "is empty"), (b"<!DOCTYPE html>", "starts with b'<!DOCTYP'")],
)
def test_load_image__not_an_image(contents, found, tmp_path):
    path = tmp_path / "cat.jpg"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=rf"cat\.jpg.*{found}.*BMP, WebP"):
        load_image(path)


def test_load_image__damaged(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(AS_PILLOW["png"][:-200])
    message = "starts like a PNG but is damaged or of an unsupported kind"
    with pytest.raises(ValueError, match=message):
        load_image(path)


def test_load_image__unreadable(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        load_image(tmp_path / "nowhere.png")
    with pytest.raises(OSError, match=tmp_path.name):
        load_image(tmp_path)
