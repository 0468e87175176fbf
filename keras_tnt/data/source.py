"""Labelled images, still encoded, by index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class ImageSource:
    r"""Labelled images that can be read in any order.

    `load_dataset` opens one; `image_dataset` makes batches of it.

    Attributes:
        name: what was opened, for messages.
        class_names: names of the classes, in the order of the labels.
        size: number of images, also `len(source)`.
        fetch: takes an index, an int64 scalar tensor, and returns the encoded image,
            a string scalar, and its label, an int64 scalar. TensorFlow ops, for
            `tf.data`.
        describe: takes such an index and returns a string scalar that names the
            image: its file, or its record.
        broken: images that `image_dataset(..., skip_corrupt=True)` met and skipped, by
            index: their names. Grows while its datasets are read.

    Example:
        >>> from keras_tnt.data import load_dataset
        >>> source = load_dataset("fashion_mnist_mini", "test")
        >>> len(source), source.class_names[0], source.broken
        (2000, 'T-shirt/top', {})
        >>> contents, label = source.fetch(7)
        >>> contents.numpy()[:4], source.class_names[label]
        (b'\x89PNG', 'Coat')
    """

    name: str
    class_names: tuple[str, ...]
    size: int
    fetch: Callable
    describe: Callable
    broken: dict[int, str] = dataclasses.field(default_factory=dict)

    def __len__(self):
        return self.size

    def in_memory(self) -> ImageSource:
        """Reads all images, still encoded, and returns a source that holds them."""
        indices = tf.data.Dataset.range(self.size)
        fetched = indices.map(self.fetch, num_parallel_calls=tf.data.AUTOTUNE)
        contents, labels = next(fetched.batch(self.size).as_numpy_iterator())
        fetch = lookup(contents.tolist(), labels)
        return dataclasses.replace(self, fetch=fetch)


def lookup(
    strings: Sequence[str], numbers: ArrayLike
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a function of an index that gives a string and a number from memory."""
    with tf.device("/cpu:0"):  # where tf.data runs
        strings = tf.constant(strings, tf.string)
        numbers = tf.constant(np.asarray(numbers, "int64"))
    return lambda index: (tf.gather(strings, index), tf.gather(numbers, index))
