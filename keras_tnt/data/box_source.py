"""Encoded images and the boxes of their objects, by index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.data.source import lookup
from keras_tnt.utils.lazy import tensorflow as tf

# Of an object: edges of its box, class, whether it is a crowd, area.
COLUMNS = ("left", "top", "right", "bottom", "class", "crowd", "area")
MAX_BOXES = 100  # COCO's images have 93 at most
OUTSIDE = 1.0  # pixels that a box may exceed its image; COCO's do by rounding


@dataclasses.dataclass(frozen=True, eq=False)
class BoxSource:
    """Images with the boxes of their objects, with random access.

    `load_box_dataset` returns one; `box_dataset` makes batches from it.

    Attributes:
        name: name of the data set, for messages.
        class_names: names of the classes, in the order of their numbers.
        size: number of images, also `len(source)`.
        fetch: function from an index, an int64 scalar tensor, to the encoded image and
            its objects, string scalars; `decode_objects` decodes the objects. It
            consists of TensorFlow ops, for `tf.data`.
        describe: function from an index to a string scalar that names the image: its
            file or its record.
        relative: whether the edges of boxes are shares of the image's width and height,
            and not pixels.
        max_boxes: largest number of objects of an image that are no crowds; batches
            have so many boxes for each image.
        corrupt: names of the images that `box_dataset(..., skip_corrupt=True)` has
            skipped, by index. It grows while its datasets are read.

    Example:
        ```python
        source = load_box_dataset("coco2017", "validation")
        contents, objects = source.fetch(7)
        ```
    """

    name: str
    class_names: tuple[str, ...]
    size: int
    fetch: Callable
    describe: Callable
    relative: bool = False
    max_boxes: int = MAX_BOXES
    corrupt: dict[int, str] = dataclasses.field(default_factory=dict)

    def __len__(self):
        return self.size

    def in_memory(self) -> Self:
        """Return a source that keeps all encoded images and objects in memory."""
        indices = tf.data.Dataset.range(self.size)
        fetched = indices.map(self.fetch, num_parallel_calls=tf.data.AUTOTUNE)
        contents, objects = next(fetched.batch(self.size).as_numpy_iterator())
        fetch = lookup(contents.tolist(), objects.tolist(), "string")
        return dataclasses.replace(self, fetch=fetch)

    def objects(self, encoded: bytes, size: tuple[int, int]) -> np.ndarray:
        """Return the objects of an image, checked, with edges in pixels.

        Args:
            encoded: the encoded objects.
            size: height and width of the image.

        Returns:
            A float32 array ``(objects, 7)`` of the `COLUMNS`. Boxes are clipped to the
            image, and those without area are left out. An unknown area, NaN, becomes
            that of the box.

        Raises:
            ValueError: if a box lies outside of the image or its edges are in the wrong
                order, a class does not exist, there are too many objects, or the image
                has another size than the annotations say. The message has no subject.
        """
        numbers = np.frombuffer(encoded, "<f4")
        annotated, found = tuple(numbers[:2]), numbers[2:].reshape(-1, len(COLUMNS))
        height, width = size
        if any(annotated) and annotated != size:
            raise ValueError(
                f"has {height}x{width} pixels, expected {annotated[0]:.0f}x"
                f"{annotated[1]:.0f}, the size in its annotations"
            )
        found = found.copy()
        if self.relative:
            found[:, :4] *= (width, height, width, height)
        for row in found:
            self._check(row, size)
        count = np.sum(found[:, 5] == 0)
        if count > self.max_boxes:
            raise ValueError(
                f"has {count} objects, expected {self.max_boxes} at most. Raise "
                "max_boxes"
            )
        found[:, :4] = np.clip(found[:, :4], 0, (width, height, width, height))
        sides = found[:, 2:4] - found[:, :2]
        areas = found[:, 6]
        found[:, 6] = np.where(np.isnan(areas), np.prod(sides, axis=1), areas)
        return found[np.all(sides > 0, axis=1)]

    def _check(self, row, size):
        left, top, right, bottom, number = row[:5]
        edges = f"[{left:g}, {top:g}, {right:g}, {bottom:g}]"
        height, width = size
        if not 0 <= number < len(self.class_names):
            raise ValueError(
                f"has an object of class {number:g}, expected 0 to "
                f"{len(self.class_names) - 1}"
            )
        if not (left <= right and top <= bottom):  # nor for NaN
            raise ValueError(
                f"has the box {edges}, expected [left, top, right, bottom] in this "
                "order"
            )
        most = (width + OUTSIDE, height + OUTSIDE)
        if min(left, top) < -OUTSIDE or right > most[0] or bottom > most[1]:
            raise ValueError(
                f"has the box {edges} [left, top, right, bottom], expected one inside "
                f"of its {height}x{width} pixels (height x width)"
            )


def encode_objects(rows: ArrayLike, size: tuple[int, int] = (0, 0)) -> bytes:
    """Encode the objects of an image as little-endian float32.

    Args:
        rows: numbers ``(objects, 7)`` of the `COLUMNS`.
        size: height and width of the image in its annotations; zeros if they have none.
    """
    numbers = np.concatenate([np.ravel(size), np.ravel(rows)])
    return numbers.astype("<f4").tobytes()


def decode_objects(source: BoxSource, encoded: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Decode and check the objects of an image in a TensorFlow graph.

    Args:
        source: the source.
        encoded: the encoded objects, a string scalar.
        size: height and width of the image, int32 (2,).

    Returns:
        A float32 tensor (objects, 7), as `BoxSource.objects`.

    Raises:
        tf.errors.InvalidArgumentError: at run time, if they are invalid.
    """

    def decode(contents, size):
        return source.objects(contents, tuple(size.tolist()))

    found = tf.numpy_function(decode, [encoded, size], tf.float32, stateful=False)
    return tf.ensure_shape(found, (None, len(COLUMNS)))


def box_fault(source: BoxSource, encoded: bytes, size: tuple[int, int]) -> str | None:
    """Return what is wrong with the objects of an image, or ``None``.

    Args:
        source: the source.
        encoded: the encoded objects.
        size: height and width of the image.
    """
    try:
        source.objects(encoded, size)
    except ValueError as error:
        return str(error)
    return None


def box_files_source(
    name: str,
    class_names: Sequence[str],
    images: Sequence[str],
    objects: Sequence[bytes],
) -> BoxSource:
    """Return a source of image files, with their objects in memory.

    Args:
        name: name of the data set.
        class_names: names of the classes.
        images: path of each image.
        objects: encoded objects of each image.
    """
    fetch = lookup(images, objects, "string")

    def read(index):
        path, encoded = fetch(index)
        return tf.io.read_file(path), encoded

    return BoxSource(
        name,
        tuple(class_names),
        len(images),
        read,
        lambda index: fetch(index)[0],
    )
