"""Encoded images and their masks, by index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from keras_tnt.data.source import lookup
from keras_tnt.utils.lazy import tensorflow as tf

IGNORED = -1  # class of a pixel that neither the loss nor the metrics count
UNLABELED = 255  # label of such a pixel in a file, if it is no class


@dataclasses.dataclass(frozen=True, eq=False)
class MaskSource:
    """Images with a class for every pixel, with random access.

    `load_mask_dataset` returns one; `mask_dataset` makes batches from it.

    Attributes:
        name: name of the data set, for messages.
        class_names: names of the classes, in the order of the labels.
        size: number of images, also `len(source)`.
        fetch: function from an index, an int64 scalar tensor, to the encoded image and
            the encoded mask, string scalars. It consists of TensorFlow ops, for
            `tf.data`.
        describe: function from an index to a string scalar that names the image: its
            file or its record.
        first_label: label of the first class in the files. With 1, as in ADE20K, 0
            means that the pixel has no class.
        corrupt: names of the images that `mask_dataset(..., skip_corrupt=True)` has
            skipped, by index. It grows while its datasets are read.

    Example:
        ```python
        source = load_mask_dataset("ADEChallengeData2016", "validation")
        contents, mask = source.fetch(7)
        ```
    """

    name: str
    class_names: tuple[str, ...]
    size: int
    fetch: Callable
    describe: Callable
    first_label: int = 0
    corrupt: dict[int, str] = dataclasses.field(default_factory=dict)

    def __len__(self):
        return self.size

    def in_memory(self) -> Self:
        """Return a source that keeps all encoded images and masks in memory."""
        indices = tf.data.Dataset.range(self.size)
        fetched = indices.map(self.fetch, num_parallel_calls=tf.data.AUTOTUNE)
        contents, masks = next(fetched.batch(self.size).as_numpy_iterator())
        fetch = lookup(contents.tolist(), masks.tolist(), "string")
        return dataclasses.replace(self, fetch=fetch)

    def to_classes(self, labels: np.ndarray) -> np.ndarray:
        """Return the classes of a mask's labels, an int32 array of the same shape.

        `IGNORED` is the class of a pixel that has none.

        Raises:
            ValueError: if a label is no class.
        """
        classes = labels.astype("int32") - self.first_label
        without = classes < 0
        if self.first_label + len(self.class_names) <= UNLABELED:
            without |= labels == UNLABELED
        wrong = ~without & (classes >= len(self.class_names))
        if wrong.any():
            last = self.first_label + len(self.class_names) - 1
            raise ValueError(
                f"has the label {labels[wrong][0]} in its mask; expected "
                f"{self.first_label} to {last}, the labels of its "
                f"{len(self.class_names)} classes, or "
                f"{0 if self.first_label else UNLABELED} for none"
            )
        return np.where(without, np.int32(IGNORED), classes)


def mask_files_source(
    name: str,
    class_names: Sequence[str],
    images: Sequence[str],
    masks: Sequence[str],
    first_label: int,
) -> MaskSource:
    """Return a source of image files and mask files.

    Args:
        name: name of the data set.
        class_names: names of the classes.
        images: path of each image.
        masks: path of the mask of each image.
        first_label: as in `MaskSource`.
    """
    fetch = lookup(images, masks, "string")

    def read(index):
        image, mask = fetch(index)
        return tf.io.read_file(image), tf.io.read_file(mask)

    return MaskSource(
        name,
        tuple(class_names),
        len(images),
        read,
        lambda index: fetch(index)[0],
        first_label,
    )
