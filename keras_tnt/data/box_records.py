"""Boxes of data sets that tfds has prepared."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_tnt.data.box_source import COLUMNS, BoxSource, encode_objects
from keras_tnt.data.bundled import import_tfds
from keras_tnt.data.records import describer, record_reader, split_info
from keras_tnt.utils.lazy import tensorflow as tf


def load_prepared_boxes(builder: Any, split: str | None) -> BoxSource:
    """Load a split of a prepared tfds data set with boxes.

    Args:
        builder: the `tfds.core.DatasetBuilder`.
        split: the split, or a slice such as `"train[:10%]"`.

    Returns:
        A `BoxSource`. Where the records have no area, it is that of the box.

    Raises:
        ValueError: if the split is unknown or empty, the file format has no random
            access, or the data set has no sequence of boxes with labels.
    """
    info = builder.info
    chosen = split_info(builder, split)
    image_key, objects_key, names = _features(info)
    objects = info.features[objects_key].feature
    keys = {
        f"{objects_key}/{names[column]}": tf.io.FixedLenSequenceFeature(
            shape, dtype, allow_missing=True
        )
        for column, shape, dtype in (
            ("box", (4,), tf.float32),
            ("label", (), tf.int64),
            ("is_crowd", (), tf.int64),
            ("area", (), _stored(dict(objects.items()).get("area"))),
        )
        if column in names
    }
    read = record_reader(info, chosen.file_instructions)

    def fetch(index):
        record = read(tf.cast(index, tf.int64))
        example = tf.io.parse_single_example(
            record, keys | {image_key: tf.io.FixedLenFeature((), tf.string)}
        )
        values = {
            column: tf.cast(example[f"{objects_key}/{name}"], tf.float32)
            for column, name in names.items()
        }
        return example[image_key], _encoded(values)

    return BoxSource(
        f"{info.full_name} {split}",
        tuple(objects[names["label"]].names),
        chosen.num_examples,
        fetch,
        describer([info.full_name], [chosen.num_examples], split),
        relative=True,
    )


def _features(info):
    """The name of the image, of the sequence of objects, and of its parts."""
    features = import_tfds().features
    found = dict(info.features.items())
    images = [k for k, f in found.items() if isinstance(f, features.Image)]
    sequences = {}
    for key, feature in found.items():
        parts = getattr(getattr(feature, "feature", None), "items", dict)()
        boxes = [n for n, f in parts if isinstance(f, features.BBoxFeature)]
        labels = [n for n, f in parts if isinstance(f, features.ClassLabel)]
        if len(boxes) == 1 and labels:
            label = "label" if "label" in labels else labels[0]
            names = {"box": boxes[0], "label": label}
            names |= {n: n for n in ("is_crowd", "area") if n in dict(parts)}
            sequences[key] = names
    if len(images) != 1 or len(sequences) != 1:
        raise ValueError(
            f"{info.full_name} is not a set of images with boxes. Its features are "
            f"{found}. Expected one Image and one Sequence with a BBoxFeature and a "
            "ClassLabel."
        )
    ((key, names),) = sequences.items()
    return images[0], key, names


def _stored(feature):
    """The dtype of an area in a record, which has int64 for all integers."""
    is_float = feature is not None and np.issubdtype(feature.np_dtype, np.floating)
    return tf.float32 if is_float else tf.int64


def _encoded(values):
    """An op that encodes the objects of a record."""
    names = list(values)

    def encode(*arrays):
        parts = dict(zip(names, arrays, strict=True))
        top, left, bottom, right = parts["box"].T
        none = np.zeros_like(top)
        rows = [left, top, right, bottom, parts["label"], parts.get("is_crowd", none)]
        # The area of a box in pixels is not known here: NaN stands for it.
        rows.append(parts.get("area", none * np.nan))
        return encode_objects(np.stack(rows, axis=1).reshape(-1, len(COLUMNS)))

    encoded = tf.numpy_function(
        encode, [values[name] for name in names], tf.string, stateful=False
    )
    return tf.ensure_shape(encoded, ())
