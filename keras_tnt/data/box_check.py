"""A check of all images and boxes of a data set, before a training."""

import numpy as np

from keras_tnt.data.augmentation.transforms import decode_traced
from keras_tnt.data.box_source import BoxSource, decode_objects
from keras_tnt.data.source_check import read_all
from keras_tnt.utils.lazy import tensorflow as tf


def check_boxes(source: BoxSource, skip_corrupt: bool = False) -> np.ndarray:
    """Read every image and its boxes once, and raise if one of them cannot be used.

    Args:
        source: the images and boxes, from `load_box_dataset`.
        skip_corrupt: whether images that cannot be decoded are noted in
            ``source.corrupt``, as by `box_dataset`, and not an error.

    Returns:
        The number of objects of each class, an int64 array ``(classes,)``. Crowds and
        boxes without area are not counted.

    Raises:
        ValueError: if an image is empty or damaged or has another size than its
            annotations say, a box lies outside of its image, a class does not exist, or
            an image has too many objects. It names the first of them.

    Example:
        ```python
        from keras_tnt.data import check_boxes, load_box_dataset

        objects = check_boxes(load_box_dataset("coco2017", "train"))
        ```
    """
    classes = len(source.class_names)

    def count(contents, encoded):
        size = tf.shape(decode_traced(contents))[:2]
        found = decode_objects(source, encoded, size)
        numbers = tf.cast(found[found[:, 5] == 0][:, 4], tf.int32)
        return tf.math.bincount(
            numbers, minlength=classes, maxlength=classes, dtype=tf.int64
        )

    counts = np.zeros(classes, "int64")
    for found in read_all(source, count, skip_corrupt):
        counts += found
    if not counts.any():
        raise ValueError(
            f"No image of {source.name!r} has an object: there is nothing to learn or "
            "to evaluate."
        )
    return counts
