"""Masks of data sets that tfds has prepared."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras_tnt.data.bundled import import_tfds
from keras_tnt.data.mask_source import MaskSource
from keras_tnt.data.records import describer, record_reader, split_info
from keras_tnt.utils.lazy import tensorflow as tf


class Masks(NamedTuple):
    """Which feature of a data set is the mask, and what its labels mean.

    Attributes:
        key: name of the feature.
        class_names: names of the classes.
        first_label: label of the first class.
    """

    key: str
    class_names: tuple[str, ...]
    first_label: int


# Data sets whose labels have no names in tfds, by name.
KNOWN = {
    "oxford_iiit_pet": Masks("segmentation_mask", ("pet", "background", "outline"), 1)
}


def load_prepared_masks(builder: Any, split: str | None) -> MaskSource:
    """Load a split of a prepared tfds data set with masks.

    Args:
        builder: the `tfds.core.DatasetBuilder`.
        split: the split, or a slice such as `"train[:10%]"`.

    Returns:
        A `MaskSource`.

    Raises:
        ValueError: if the split is unknown or empty, the file format has no random
            access, or it is not known which feature is the mask and what its labels
            mean.
    """
    info = builder.info
    chosen = split_info(builder, split)
    image_key, masks = _image_and_masks(info)
    keys = {key: tf.io.FixedLenFeature((), tf.string) for key in (image_key, masks.key)}
    read = record_reader(info, chosen.file_instructions)

    def fetch(index):
        example = tf.io.parse_single_example(read(tf.cast(index, tf.int64)), keys)
        return example[image_key], example[masks.key]

    return MaskSource(
        f"{info.full_name} {split}",
        masks.class_names,
        chosen.num_examples,
        fetch,
        describer([info.full_name], [chosen.num_examples], split),
        masks.first_label,
    )


def _image_and_masks(info):
    """The name of the image, and the masks."""
    features = import_tfds().features
    found = dict(info.features.items())
    labeled = {k: f for k, f in found.items() if isinstance(f, features.LabeledImage)}
    masks = KNOWN.get(info.name)
    if masks is None and len(labeled) == 1:
        ((key, feature),) = labeled.items()
        masks = Masks(key, tuple(feature.names), 0)
    images = [
        key
        for key, feature in found.items()
        if isinstance(feature, features.Image)
        and key not in labeled
        and (masks is None or key != masks.key)
    ]
    if masks is None or masks.key not in found or len(images) != 1:
        raise ValueError(
            f"{info.full_name} is not a set of images with one mask each. Its features "
            f"are {found}. Expected an Image and a LabeledImage, or one of "
            f"{', '.join(KNOWN)}."
        )
    return images[0], masks
