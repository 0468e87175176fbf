"""Random access to the records of data sets that tfds has prepared.

tfds reads a data set in order. Here records are read by number, so that a resumed
training does not read the images of earlier steps. array_record files support this;
for TFRecord files, the offsets of the records are found once.
"""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_tnt.data.bundled import import_tfds
from keras_tnt.data.labels import labels_of, supervised_keys
from keras_tnt.data.source import ImageSource
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike


def load_prepared(builder: Any, split: str | None) -> ImageSource:
    """Load a split of a prepared tfds data set.

    Args:
        builder: the `tfds.core.DatasetBuilder`.
        split: the split, or a slice such as `"train[:10%]"`.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: if the split is unknown or empty, the data set has no 8-bit images
            with one class each or with lists of right answers as those of ReaL, or the
            file format has no random access.
    """
    source, _ = load_joined([builder], split)
    return source


def load_joined(
    builders: Sequence[Any], split: str | None
) -> tuple[ImageSource, list[int]]:
    """Load prepared tfds data sets one after the other, as one.

    Args:
        builders: `tfds.core.DatasetBuilder` of data sets with the same features.
        split: the split of all of them, or a slice of it.

    Returns:
        An `ImageSource`, and the number of images of each data set.

    Raises:
        ValueError: as in `load_prepared`.
    """
    formats = {builder.info.file_format.value for builder in builders}
    if len(formats) > 1:
        raise ValueError(
            f"The data sets have different formats: {sorted(formats)}. Prepare all of "
            "them in one."
        )
    splits = [split_info(builder, split) for builder in builders]
    sizes = [each.num_examples for each in splits]
    info = builders[0].info
    image_key, label_key = supervised_keys(info)
    labels = labels_of(info, label_key)
    keys = {
        image_key: tf.io.FixedLenFeature((), tf.string),
        label_key: labels.stored,
    }
    parts = [part for each in splits for part in each.file_instructions]
    read = record_reader(info, parts)

    def fetch(index):
        index = tf.cast(index, tf.int64)
        example = tf.io.parse_single_example(read(index), keys)
        return example[image_key], labels.convert(example[label_key])

    names = [builder.info.full_name for builder in builders]
    name = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    return ImageSource(
        f"{name} {split}",
        labels.class_names,
        sum(sizes),
        fetch,
        describer(names, sizes, split),
        several_labels=labels.several,
    ), sizes


def describer(
    names: Sequence[str], sizes: Sequence[int], split: str | None
) -> Callable:
    """Return a function from the index of a record to its description.

    Args:
        names: names of the data sets that are read one after the other.
        sizes: number of images of each.
        split: their split.
    """
    ends = np.cumsum(sizes)

    def describe(index):
        index = tf.cast(index, tf.int64)
        part = tf.searchsorted(ends, tf.reshape(index, [-1]), side="right")
        part = tf.reshape(part, tf.shape(index))
        number = tf.strings.as_string(index - tf.gather(ends - sizes, part))
        name = tf.gather(names, part)
        return tf.strings.join(["record ", number, " of ", name, f", split {split}"])

    return describe


def split_info(builder: Any, split: str | None) -> Any:
    """Return the `tfds.core.SplitInfo` of a split of a prepared data set.

    Raises:
        ValueError: if the split is unknown or empty.
    """
    name = builder.info.full_name
    try:
        found = builder.info.splits[split] if split is not None else None
    except (ValueError, KeyError, AssertionError) as error:
        raise ValueError(f"{name}: {error}") from error
    if found is None or not found.num_examples:
        raise ValueError(
            f"Unknown or empty split {split!r} of {name}. Expected one of "
            f"{sorted(builder.info.splits)}, or a slice such as 'train[:10%]'."
        )
    return found


def record_reader(info: Any, parts: Sequence[Any]) -> Callable:
    """Return a function from an index to the serialized record.

    Args:
        info: the `tfds.core.DatasetInfo`.
        parts: the file instructions of the splits.

    Raises:
        ValueError: if the file format has no random access, or a file is damaged.
    """
    formats = import_tfds().core.FileFormat
    if info.file_format == formats.TFRECORD:
        return _tfrecord_reader(parts)
    if info.file_format == formats.ARRAY_RECORD:
        return _array_record_reader(parts)
    raise ValueError(
        f"{info.full_name} is stored as {info.file_format.value}. Prepare it as "
        "tfrecord or array_record: tfds build --file_format=array_record."
    )


def _array_record_reader(parts):
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    records = ArrayRecordDataSource(parts)

    def read(index):
        record = tf.numpy_function(
            lambda i: records[int(i)], [index], tf.string, stateful=False
        )
        record.set_shape(())
        return record

    return read


def _tfrecord_reader(parts):
    files = [os.fspath(part.filename) for part in parts]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        places = list(pool.map(record_places, files))
    for file, part, found in zip(files, parts, places, strict=True):
        if len(found) != part.examples_in_shard:
            raise ValueError(
                f"{file} is damaged: it has {len(found)} of "
                f"{part.examples_in_shard} records. Prepare the data set again."
            )
    taken = [
        found[part.skip : part.skip + part.take]
        for part, found in zip(parts, places, strict=True)
    ]
    with tf.device("/cpu:0"):  # where tf.data runs
        names = tf.constant(files)
        ends = tf.constant(np.cumsum([len(part) for part in taken]))
        starts = tf.constant(np.concatenate(taken))

    def read(index):
        file = names[tf.searchsorted(ends, [index], side="right")[0]]
        # The public class has no offsets; this is its op.
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=[file],
            compression_type="",
            buffer_size=0,
            byte_offsets=[starts[index]],
        )
        record = tf.TensorSpec((), tf.string)
        dataset = tf.data.experimental.from_variant(variant, record)
        return dataset.take(1).get_single_element()

    return read


def record_places(path: PathLike) -> np.ndarray:
    """Find the offsets of the records in a TFRecord file.

    A record is its length (8 bytes, little-endian), a checksum (4), the data and
    another checksum (4).

    Args:
        path: the file, on any file system that `tf.io.gfile` supports.

    Returns:
        An int64 array of offsets.

    Raises:
        ValueError: if the file ends inside a record.
    """
    path = str(path)
    remote = "://" in path
    size = tf.io.gfile.stat(path).length
    places, place = [], 0
    # Without a buffer, only the lengths are read.
    with tf.io.gfile.GFile(path, "rb") if remote else open(path, "rb", 0) as file:
        while place + 8 <= size:
            file.seek(place)
            places.append(place)
            place += int.from_bytes(file.read(8), "little") + 16
    if place != size:
        raise ValueError(
            f"{path} is damaged: it ends inside a record. Prepare the data set again."
        )
    return np.array(places, "int64")
