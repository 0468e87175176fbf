"""Encoded images and their labels, by index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Self

from numpy.typing import ArrayLike

from keras_tnt.utils.lazy import tensorflow as tf


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSource:
    r"""Labelled images with random access.

    `load_dataset` returns one; `image_dataset` makes batches from it.

    Attributes:
        name: name of the data set, for messages.
        class_names: names of the classes, in the order of the labels.
        size: number of images, also `len(source)`.
        fetch: function from an index, an int64 scalar tensor, to the encoded image, a
            string scalar, and its label, an int64 scalar; see `several_labels`. It
            consists of TensorFlow ops, for `tf.data`.
        describe: function from an index to a string scalar that names the image: its
            file or its record.
        corrupt: names of the images that `image_dataset(..., skip_corrupt=True)` has
            skipped, by index. It grows while its datasets are read.
        several_labels: whether an image has any number of right answers, as in ReaL.
            `fetch` then returns int64 (classes,), 1 for those that are right. Such
            images can be evaluated, not trained on.

    Example:
        >>> from keras_tnt.data import load_dataset
        >>> source = load_dataset("fashion_mnist_mini", "test")
        >>> len(source), source.class_names[0], source.corrupt
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
    corrupt: dict[int, str] = dataclasses.field(default_factory=dict)
    several_labels: bool = False

    def __len__(self):
        return self.size

    def in_memory(self) -> Self:
        """Return a source that keeps all encoded images in memory."""
        indices = tf.data.Dataset.range(self.size)
        fetched = indices.map(self.fetch, num_parallel_calls=tf.data.AUTOTUNE)
        contents, labels = next(fetched.batch(self.size).as_numpy_iterator())
        fetch = lookup(contents.tolist(), labels)
        return dataclasses.replace(self, fetch=fetch)


def check_single_label(source: ImageSource) -> None:
    """Raise a `ValueError` if an image of a source can have several right answers."""
    if source.several_labels:
        raise ValueError(
            f"The images of {source.name!r} have lists of right answers, expected one "
            "class each. Use it with evaluate_classifier or `keras-tnt evaluate` only."
        )


def files_source(
    name: str, class_names: Sequence[str], paths: Sequence[str], labels: ArrayLike
) -> ImageSource:
    """Return a source of image files.

    Args:
        name: name of the data set.
        class_names: names of the classes.
        paths: path of each image.
        labels: label of each image.
    """
    fetch = lookup(paths, labels)

    def read(index):
        path, label = fetch(index)
        return tf.io.read_file(path), label

    return ImageSource(
        name, tuple(class_names), len(paths), read, lambda index: fetch(index)[0]
    )


def lookup(
    strings: Sequence[str | bytes], others: ArrayLike, dtype: str = "int64"
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Return a function from an index to two values in memory.

    Args:
        strings: strings.
        others: as many numbers or strings.
        dtype: dtype of the others, ``"int64"`` or ``"string"``.
    """
    with tf.device("/cpu:0"):  # where tf.data runs
        strings = tf.constant(strings, tf.string)
        others = tf.constant(others, dtype)
    return lambda index: (tf.gather(strings, index), tf.gather(others, index))
