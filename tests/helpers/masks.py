"""Directories of images and masks for the tests."""

import io

import numpy as np
from PIL import Image

from keras_tnt.data import load_mask_dataset

CLASS_NAMES = ("sky", "tree", "road")
SHADE = 60  # gray level of an image's pixel for each class


def png(array):
    """The bytes of a PNG file."""
    return _encode(Image.fromarray(np.asarray(array)))


def palette_png(array):
    """The bytes of a PNG file of a palette, whose indices are the values."""
    picture = Image.fromarray(np.asarray(array, "uint8"))
    picture.putpalette(np.random.default_rng(0).bytes(768))
    return _encode(picture)


def _encode(picture):
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def random_classes(number, size=(24, 20)):
    """The classes of the pixels of an image, in blocks of four."""
    blocks = [side // 4 for side in size]
    classes = np.random.default_rng(number).integers(0, 3, blocks)
    return np.kron(classes, np.ones((4, 4), int)).astype("uint8")


def write_masks(directory, counts, masks="masks", first_label=0, size=(24, 20)):
    """Writes splits of so many images whose gray levels tell the classes.

    Without a name, as in ``{"": 3}``, there are no splits.
    """
    for split, count in counts.items():
        for kind in ("images", masks):
            (directory / kind / split).mkdir(parents=True)
        for number in range(count):
            classes = random_classes(number, size)
            image = directory / "images" / split / f"{number:03d}.png"
            image.write_bytes(png(SHADE * classes))
            mask = directory / masks / split / f"{number:03d}.png"
            mask.write_bytes(png(classes + first_label))
    (directory / "classes.txt").write_text("\n".join(CLASS_NAMES) + "\n")
    return directory


def mask_source(directory, count=8, size=(24, 20)):
    """A source of such images."""
    return load_mask_dataset(write_masks(directory, {"": count}, size=size))
