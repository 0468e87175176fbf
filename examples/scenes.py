"""Scenes for dense tasks, made of the bundled images, and a small TNT for them.

A scene has a few pieces of clothing, 16 to 28 pixels large, on an uneven background,
with masks and boxes. The examples of segmentation and detection use it.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_tnt import data

KINDS = ("top", "trousers", "dress", "shoe", "bag")
# The kind of each of the ten classes, in the order of the labels.
KIND_OF_CLASS = np.array([0, 1, 0, 2, 0, 3, 0, 3, 4, 3])

SIZE = 48  # height and width of a scene
TRIES = 6  # pieces to place; those that would overlap are dropped
# An untrained TNT for scenes: four blocks over 6x6 patches.
SMALL_TNT = {
    "outer_dim": 96,
    "inner_dim": 8,
    "depth": 4,
    "outer_num_heads": 3,
    "inner_num_heads": 2,
    "patch_size": 8,
    "inner_stride": 2,
}
CLOTH = 32  # pixels from this value on are clothing; the rest is black


class Scenes(NamedTuple):
    """Scenes and their ground truth.

    Attributes:
        images: uint8 `(scenes, 48, 48, 1)`.
        masks: uint8 `(scenes, 48, 48)`: 0 is background, 1 to 5 the kind plus one.
        boxes: float32 `(scenes, 6, 4)`: left, top, right and bottom edge in pixels.
        kinds: int32 `(scenes, 6)`: 0 to 4; -1 with a box of zeros for none.
    """

    images: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray
    kinds: np.ndarray


def make_scenes(split, count, seed=0, brightness=128):
    """Make reproducible scenes of the images of a split.

    Args:
        split: of the bundled data set.
        count: number of scenes.
        seed: seed of all that is random.
        brightness: added to the clothing, which has half its contrast. From 112 on it
            is brighter than most of the background.
    """
    rng = np.random.default_rng(seed)
    clothes, labels = next(
        data.fashion_mnist_mini(split).batch(20_000).as_numpy_iterator()
    )
    members = [np.flatnonzero(KIND_OF_CLASS[labels] == k) for k in range(len(KINDS))]
    scenes = Scenes(
        np.zeros((count, SIZE, SIZE, 1), "uint8"),
        np.zeros((count, SIZE, SIZE), "uint8"),
        np.zeros((count, TRIES, 4), "float32"),
        np.full((count, TRIES), -1, "int32"),
    )
    for index in range(count):
        scenes.images[index, ..., 0] = _background(rng)
        for place, kind in enumerate(rng.integers(len(KINDS), size=TRIES)):
            chosen = rng.choice(members[kind])
            side = rng.integers(16, 29)
            pixels = np.arange(side) * 28 // side  # nearest neighbour
            piece = clothes[chosen, :, :, 0][pixels][:, pixels]
            box = _put(scenes, index, piece, kind, rng, brightness)
            if box is not None:
                scenes.boxes[index, place] = box
                scenes.kinds[index, place] = kind
    return scenes


def write_scenes(directory, splits, boxes=False):
    """Write scenes as a directory of images, and masks or boxes, unless it exists.

    Args:
        directory: the directory, as `keras_tnt.data.load_mask_dataset` reads it, or
            `load_box_dataset`.
        splits: arguments of `make_scenes`, by the name of the split.
        boxes: whether to write boxes, in COCO's format.
    """
    directory = Path(directory)
    if directory.exists():
        return
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    for split, arguments in splits.items():
        scenes = make_scenes(**arguments)
        _write_images(unfinished / "images" / split, scenes.images)
        if boxes:
            path = unfinished / "annotations" / f"{split}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(_annotations(scenes)))
        else:
            _write_images(unfinished / "masks" / split, scenes.masks)
            (unfinished / "classes.txt").write_text("\n".join(("background", *KINDS)))
    unfinished.rename(directory)


def _write_images(directory, arrays):
    directory.mkdir(parents=True)
    for number, array in enumerate(arrays):
        contents = tf.io.encode_png(array.reshape(SIZE, SIZE, 1)).numpy()
        (directory / f"{number:05d}.png").write_bytes(contents)


def _annotations(scenes):
    """The boxes of scenes in COCO's format."""
    found = [
        (image, kind, left, top, right - left, bottom - top)
        for image, (kinds, boxes) in enumerate(
            zip(scenes.kinds.tolist(), scenes.boxes.tolist(), strict=True)
        )
        for kind, (left, top, right, bottom) in zip(kinds, boxes, strict=True)
        if kind >= 0
    ]
    return {
        "images": [
            {"id": n, "file_name": f"{n:05d}.png", "height": SIZE, "width": SIZE}
            for n in range(len(scenes.images))
        ],
        "annotations": [
            {"id": n, "image_id": image, "category_id": kind, "bbox": box}
            for n, (image, kind, *box) in enumerate(found, start=1)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(KINDS)],
    }


def _background(rng):
    """Return a dark gradient with noise."""
    slope = np.add.outer(*rng.uniform(-0.5, 0.5, (2, 1)) * np.arange(SIZE))
    noise = rng.normal(scale=12, size=(SIZE, SIZE))
    return np.clip(rng.uniform(30, 110) + slope + noise, 0, 255)


def _put(scenes, index, piece, kind, rng, brightness):
    """Place a piece at random and return its box, or None if it would overlap."""
    top, left = rng.integers(0, SIZE - len(piece) + 1, 2)
    window = (
        index,
        slice(top, top + len(piece)),
        slice(left, left + len(piece)),
    )
    if scenes.masks[window].any():
        return None
    cloth = piece >= CLOTH
    scenes.masks[window] = np.where(cloth, kind + 1, 0)
    behind = scenes.images[(*window, 0)]
    scenes.images[(*window, 0)] = np.where(cloth, piece // 2 + brightness, behind)
    rows, columns = (np.flatnonzero(cloth.any(axis=axis)) for axis in (1, 0))
    return (
        left + columns[0],
        top + rows[0],
        left + columns[-1] + 1,
        top + rows[-1] + 1,
    )
