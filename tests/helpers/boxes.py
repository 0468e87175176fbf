"""Directories of images with boxes in COCO's format for the tests."""

import json

import numpy as np

from keras_tnt.data import load_box_dataset
from tests.helpers.masks import png

CLASS_NAMES = ("cat", "dog", "cow")
SHADE = 60  # gray level of an object for each class and one more


def random_objects(number, size=(24, 20)):
    """An image with one or two rectangles, and its rows (left, top, right, bottom, k).

    The gray level of a rectangle tells its class. The background is black.
    """
    rng = np.random.default_rng(number)
    image = np.zeros(size, "uint8")
    rows = []
    for top in (0, size[0] // 2)[: 1 + number % 2]:
        height, width = rng.integers(5, 10, 2)
        left = rng.integers(0, size[1] - width)
        kind = rng.integers(len(CLASS_NAMES))
        image[top : top + height, left : left + width] = SHADE * (kind + 1)
        rows.append((left, top, left + width, top + height, kind))
    return image, np.array(rows, float)


def coco(objects, size=(24, 20), suffix=".png"):
    """Annotations of images with such rows; ids begin with 10, categories with 5."""
    return {
        "images": [
            {
                "id": 10 + n,
                "file_name": f"{n:03d}{suffix}",
                "height": size[0],
                "width": size[1],
            }
            for n in range(len(objects))
        ],
        "annotations": [
            {
                "id": 100 * n + i,
                "image_id": 10 + n,
                "category_id": 5 + int(kind),
                "bbox": [left, top, right - left, bottom - top],
            }
            for n, rows in enumerate(objects)
            for i, (left, top, right, bottom, kind) in enumerate(rows)
        ],
        "categories": [
            {"id": 5 + n, "name": name} for n, name in enumerate(CLASS_NAMES)
        ],
    }


def write_boxes(directory, counts, size=(24, 20)):
    """Writes splits of so many images; without a name, ``{"": 3}``, without splits."""
    for split, count in counts.items():
        images = directory / "images" / split
        images.mkdir(parents=True)
        objects = []
        for number in range(count):
            image, rows = random_objects(number, size)
            (images / f"{number:03d}.png").write_bytes(png(image))
            objects.append(rows)
        path = directory / "annotations" / f"{split}.json"
        path = path if split else directory / "annotations.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(coco(objects, size)))
    return directory


def box_source(directory, count=8, size=(24, 20)):
    """A source of such images."""
    return load_box_dataset(str(write_boxes(directory, {"": count}, size)))


def change_annotations(directory, change, name="annotations.json"):
    """Replaces annotations by what a function makes of them."""
    path = directory / name
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
