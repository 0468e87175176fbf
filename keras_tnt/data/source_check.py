"""A check of all images and targets of a data set, before a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from keras_tnt.data.box_source import BoxSource
from keras_tnt.data.error_handling import explain_image, find_fault, note_corrupt
from keras_tnt.data.mask_source import MaskSource
from keras_tnt.utils.lazy import tensorflow as tf

SHOWN = 5  # faults in an error


def read_all(
    source: MaskSource | BoxSource, read: Callable, skip_corrupt: bool
) -> Iterator[np.ndarray]:
    """Read every image and target once, and raise if one of them cannot be used.

    Args:
        source: the images.
        read: function from an encoded image and its encoded target, string scalars, to
            a tensor. It fails if they cannot be used.
        skip_corrupt: whether images that cannot be decoded are noted in
            ``source.corrupt``, and not an error.

    Yields:
        The results of `read`, in order.

    Raises:
        ValueError: at the end, if some cannot be used. It names the first of them.
    """
    indices = tf.data.Dataset.range(len(source))
    results = indices.map(
        lambda index: (index, read(*source.fetch(index))),
        num_parallel_calls=tf.data.AUTOTUNE,
    ).ignore_errors()
    missing = set(range(len(source)))
    for index, result in results.as_numpy_iterator():
        missing.discard(int(index))
        yield result
    faults: list[str] = []
    for index in sorted(missing):
        if len(faults) < SHOWN:
            faults += _fault(source, index, skip_corrupt)
    if faults:
        raise ValueError(
            f"{source.name!r} has images that cannot be used: {' '.join(faults)}"
        )


def _fault(source, index, skip_corrupt):
    """What is wrong with an image, in a list; nothing if it is skipped."""
    index = tf.constant(index, tf.int64)
    _, corrupt = find_fault(source, index)
    if corrupt and skip_corrupt:
        note_corrupt(source, index[tf.newaxis])
        return []
    name = source.describe(index).numpy().decode()
    return [f"{name} {explain_image(source, index)}"]
