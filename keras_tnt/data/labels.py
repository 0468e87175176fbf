"""The labels of tfds data sets: which feature they are, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from keras_tnt.data.bundled import import_tfds
from keras_tnt.images.imagenet_subsets import imagenet_subset
from keras_tnt.utils.lazy import tensorflow as tf

# The only label that may be a list of classes: all of them are right answers.
SEVERAL = "real_label"


class Labels(NamedTuple):
    """The labels of a data set.

    Attributes:
        class_names: names of the classes.
        several: whether an image can have several right answers, or none.
        stored: how they are stored, for `tf.io.parse_single_example`.
        convert: function from the stored label to that of `ImageSource.fetch`.
    """

    class_names: tuple[str, ...]
    several: bool
    stored: Any
    convert: Callable[[tf.Tensor], tf.Tensor]


def supervised_keys(info: Any) -> tuple[str, str]:
    """Return the names of the image and of the label in an example.

    Args:
        info: the `tfds.core.DatasetInfo`. If it has no supervised keys, its only image
            and its only class label are taken, or the list of labels of ReaL.

    Raises:
        ValueError: if the label is not one class, images are not 8-bit, or it is not
            clear which features are meant; what was found is named.
    """
    features = dict(info.features.items())
    keys = info.supervised_keys or _only_image_and_label(features)
    found: list[Any] = [
        features.get(key) if isinstance(key, str) else None for key in keys or ()
    ]
    if (
        len(found) != 2
        or not _is_image(found[0])
        or not (_is_class(found[1]) or (keys[1] == SEVERAL and _is_list(found[1])))
    ):
        raise ValueError(
            f"{info.full_name} is not a set of images with one class each. Its "
            f"supervised keys are {info.supervised_keys}, its features {features}. "
            "Expected an image and one class label."
        )
    if found[0].np_dtype != np.uint8:
        raise ValueError(
            f"The images of {info.full_name} are "
            f"{np.dtype(found[0].np_dtype).name}, expected uint8."
        )
    return keys


def _only_image_and_label(features):
    images = [key for key, feature in features.items() if _is_image(feature)]
    labels = [k for k, feature in features.items() if _is_class(feature)]
    lists = [k for k, feature in features.items() if _is_list(feature)]
    if lists == [SEVERAL]:
        labels = lists
    if len(images) == len(labels) == 1 and lists in ([], labels):
        return images[0], labels[0]
    return None


def _is_image(feature):
    return isinstance(feature, import_tfds().features.Image)


def _is_class(feature):
    return isinstance(feature, import_tfds().features.ClassLabel)


def _is_list(feature):
    sequence = import_tfds().features.Sequence
    return isinstance(feature, sequence) and _is_class(feature.feature)


def labels_of(info: Any, key: str) -> Labels:
    """Return the labels of a data set.

    tfds gives ImageNet-A and ImageNet-R all classes of ImageNet. Here they have their
    own 200, and their labels are counted among these.

    Args:
        info: the `tfds.core.DatasetInfo`.
        key: name of the label, from `supervised_keys`.

    Raises:
        ValueError: if a data set called `imagenet_a` or `imagenet_r` has other classes.
    """
    feature = info.features[key]
    if _is_list(feature):
        names = tuple(feature.feature.names)
        stored = tf.io.FixedLenSequenceFeature((), tf.int64, allow_missing=True)
        return Labels(
            names, True, stored, lambda labels: _multi_hot(labels, len(names))
        )
    names = tuple(feature.names)
    stored = tf.io.FixedLenFeature((), tf.int64)
    subset = imagenet_subset(info.name)
    if subset is None:
        return Labels(names, False, stored, lambda label: label)
    kept = tuple(name for name in names if name in subset)
    if not kept:
        raise ValueError(
            f"{info.full_name} has none of its classes: expected WordNet ids such as "
            f"{min(subset)!r}, found {list(names[:5])}. Prepare it again."
        )
    numbers = [kept.index(name) if name in subset else -1 for name in names]
    return Labels(kept, False, stored, lambda label: _among(label, numbers))


def _multi_hot(labels, classes):
    """A 1 for each of the labels, int64 (classes,)."""
    hot = tf.one_hot(labels, classes, True, False, dtype=tf.bool)
    return tf.cast(tf.reduce_any(hot, axis=0), tf.int64)


def _among(label, numbers):
    """The number of a label; -1, which the pipeline refuses, for other classes."""
    with tf.device("/cpu:0"):  # where tf.data runs
        numbers = tf.constant(numbers, tf.int64)
    return tf.where(label < 0, label, tf.gather(numbers, tf.maximum(label, 0)))
