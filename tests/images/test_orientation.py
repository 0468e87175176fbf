"""Photographs are turned upright where people look at them, and nowhere else."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_tnt.images import decode_image, load_image
from keras_tnt.images.orientation import read_orientation
from tests.helpers.encoded import AS_PILLOW, PHOTO, encode


def photo(orientation, image_format):
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[0x0112] = orientation
    lossless = {"lossless": True} if image_format == "WEBP" else {}
    return encode(PHOTO, image_format, exif=exif, **lossless)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(10))
def test_load_image__applies_the_orientation(orientation, image_format, tmp_path):
    path = tmp_path / "photo"
    path.write_bytes(photo(orientation, image_format))
    with Image.open(path) as image:
        stored = np.asarray(image)
        upright = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(load_image(path), upright)
    np.testing.assert_array_equal(load_image(path, apply_orientation=False), stored)
    np.testing.assert_array_equal(decode_image(path.read_bytes()), stored)


@pytest.mark.parametrize(("mark", "order"), [(b"II", "<"), (b"MM", ">")])
def test_read_orientation__both_byte_orders(mark, order):
    directory = struct.pack(f"{order}HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, 8, 0, 0)
    exif = b"Exif\0\0" + mark + directory
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    contents = b"\xff\xd8" + segment + AS_PILLOW["jpeg"][2:]
    with Image.open(io.BytesIO(contents)) as image:
        assert image.getexif()[0x0112] == 8
    assert read_orientation(contents) == 8


@pytest.mark.parametrize("kind", AS_PILLOW)
def test_read_orientation__of_every_format(kind):
    expected = 6 if kind == "jpeg with orientation" else 1
    assert read_orientation(AS_PILLOW[kind]) == expected


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_read_orientation__damaged_data_does_no_harm(image_format):
    contents = photo(6, image_format)
    for cut in range(0, len(contents), 3):
        assert read_orientation(contents[:cut]) in (1, 6)
        assert read_orientation(contents[:cut] + b"\xff" * 40) in range(2**16)
