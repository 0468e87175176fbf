"""Images and directories of images for the tests."""

import numpy as np
from PIL import Image

from tests.helpers import ASSETS
from tests.helpers.encoded import encode


def photo(height, width, channels=3):
    """A photograph, resized: uint8 (height, width, channels)."""
    with Image.open(ASSETS / "astronaut_small.png") as image:
        image = image.convert("L" if channels == 1 else "RGB")
        resized = image.resize((width, height), Image.BICUBIC)
    return np.asarray(resized).reshape(height, width, channels)


def pillow_gray(image):
    """A color image, uint8 (height, width, 3), converted to gray by Pillow."""
    return np.asarray(Image.fromarray(np.asarray(image)).convert("L"))[..., None]


def encoded(image, kind, **options):
    """The bytes of an image file; `kind` as in "PNG", "gray JPEG", "16-bit PNG"."""
    mode, _, name = kind.rpartition(" ")
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    if mode == "16-bit":
        high = np.asarray(picture.convert("L"), "uint16") * 256
        picture = Image.fromarray(high)
    elif mode:
        picture = picture.convert({"gray": "L", "CMYK": "CMYK"}[mode])
    return encode(picture, name, **options)


def write_directory(directory, counts, size=(40, 36), kind="JPEG"):
    """Writes class directories: of every class so many images, all different."""
    for label, (name, count) in enumerate(counts.items()):
        (directory / name).mkdir(parents=True)
        for number in range(count):
            image = np.roll(photo(*size), 5 * number + 3 * label, axis=1)
            path = directory / name / f"{number:03d}.{kind.split()[-1].lower()}"
            path.write_bytes(encoded(image, kind))
    return directory


def corrupt_directory(directory):
    """Writes class directories of which no image can be decoded."""
    write_directory(directory, {"ant": 1, "bee": 1})
    for path in directory.glob("*/*"):
        path.write_bytes(b"no image")
    return directory
