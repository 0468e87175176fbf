"""A check of all images and masks of a data set, before a training."""

from __future__ import annotations

import numpy as np

from keras_tnt.data.augmentation.mask_transforms import evaluation_pair
from keras_tnt.data.mask_source import MaskSource
from keras_tnt.data.source_check import read_all
from keras_tnt.utils.lazy import tensorflow as tf


def check_masks(source: MaskSource, skip_corrupt: bool = False) -> np.ndarray:
    """Read every image and mask once, and raise if one of them cannot be used.

    Args:
        source: the images and masks, from `load_mask_dataset`.
        skip_corrupt: whether images that cannot be decoded are noted in
            ``source.corrupt``, as by `mask_dataset`, and not an error.

    Returns:
        The number of pixels of each class, an int64 array ``(classes,)``. A class
        weight in proportion to its inverse makes all classes count the same.

    Raises:
        ValueError: if an image is empty or damaged, a mask has another size than its
            image, or a mask has labels of no class. It names the first of them.

    Example:
        ```python
        from keras_tnt.data import check_masks, load_mask_dataset

        pixels = check_masks(load_mask_dataset("ADEChallengeData2016", "train"))
        ```
    """
    classes = len(source.class_names)

    def count(contents, mask):
        # At a size of one pixel: the image is decoded, and not kept.
        _, found = evaluation_pair(contents, mask, (1, 1, 3), source)
        labels = tf.reshape(found, [-1])
        return tf.math.bincount(
            labels[labels >= 0], minlength=classes, maxlength=classes, dtype=tf.int64
        )

    pixels = np.zeros(classes, "int64")
    for found in read_all(source, count, skip_corrupt):
        pixels += found
    if not pixels.any():
        raise ValueError(
            f"No pixel of {source.name!r} has a class: there is nothing to learn or to "
            "evaluate."
        )
    return pixels
