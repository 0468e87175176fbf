"""Scenes for dense tasks, made of the bundled images, and a small TNT for them.

A scene has a few pieces of clothing, 16 to 28 pixels large, on an uneven background,
with masks and boxes. The examples of segmentation and detection use it.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import keras_tnt
from keras_tnt import data

KINDS = ("top", "trousers", "dress", "shoe", "bag")
# The kind of each of the ten classes, in the order of the labels.
KIND_OF_CLASS = np.array([0, 1, 0, 2, 0, 3, 0, 3, 4, 3])

SIZE = 48  # height and width of a scene
TRIES = 6  # pieces to place; those that would overlap are dropped
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


def write_scenes(directory, splits):
    """Write scenes as a directory of images and masks, unless it exists.

    Args:
        directory: the directory, as `keras_tnt.data.load_mask_dataset` reads it.
        splits: arguments of `make_scenes`, by the name of the split.
    """
    directory = Path(directory)
    if directory.exists():
        return
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    for split, arguments in splits.items():
        scenes = make_scenes(**arguments)
        for kind, arrays in (("images", scenes.images), ("masks", scenes.masks)):
            (unfinished / kind / split).mkdir(parents=True, exist_ok=True)
            for number, array in enumerate(arrays):
                contents = tf.io.encode_png(array.reshape(SIZE, SIZE, 1)).numpy()
                path = unfinished / kind / split / f"{number:05d}.png"
                path.write_bytes(contents)
    (unfinished / "classes.txt").write_text("\n".join(("background", *KINDS)))
    unfinished.rename(directory)


def small_tnt():
    """Return an untrained TNT for scenes: four blocks over 6x6 patches."""
    return keras_tnt.TNT(
        outer_dim=96,
        inner_dim=8,
        depth=4,
        outer_num_heads=3,
        inner_num_heads=2,
        patch_size=8,
        inner_stride=2,
        input_shape=(SIZE, SIZE, 1),
        include_top=False,
    )


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
