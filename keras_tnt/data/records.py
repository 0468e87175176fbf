"""Random access to the records of data sets that tfds has prepared.

tfds reads a data set in order. Here records are read by number, so that a resumed
training does not read the images of earlier steps. array_record files support this;
for TFRecord files, the offsets of the records are found once.
"""

import concurrent.futures
import itertools
import os
from typing import Any

import numpy as np
import tensorflow as tf

from keras_tnt.data.bundled import import_tfds
from keras_tnt.data.source import ImageSource
from keras_tnt.utils.typing import PathLike


def load_prepared(builder: Any, split: str | None) -> ImageSource:
    """Load a split of a prepared tfds data set.

    Args:
        builder: the `tfds.core.DatasetBuilder`.
        split: the split, or a slice such as `"train[:10%]"`.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: if the split is unknown or empty, the data set has no labelled 8-bit
            images, or the file format has no random access.
    """
    name = builder.info.full_name
    if split is None or not (split_info := _split_info(builder, split)).num_examples:
        raise ValueError(
            f"Unknown or empty split {split!r} of {name}. Expected one of "
            f"{sorted(builder.info.splits)}, or a slice such as 'train[:10%]'."
        )
    image_key, label_key = _supervised_keys(builder.info)
    keys = {
        image_key: tf.io.FixedLenFeature((), tf.string),
        label_key: tf.io.FixedLenFeature((), tf.int64),
    }
    read = _reader(builder.info, split_info.file_instructions)

    def fetch(index):
        index = tf.cast(index, tf.int64)
        example = tf.io.parse_single_example(read(index), keys)
        return example[image_key], example[label_key]

    def describe(index):
        number = tf.strings.as_string(index)
        return tf.strings.join(["record ", number, f" of {name}, split {split}"])

    class_names = tuple(builder.info.features[label_key].names)
    return ImageSource(
        f"{name} {split}", class_names, split_info.num_examples, fetch, describe
    )


def _split_info(builder, split):
    try:
        return builder.info.splits[split]
    except (ValueError, KeyError, AssertionError) as error:
        raise ValueError(f"{builder.info.full_name}: {error}") from error


def _supervised_keys(info):
    """The names of the image and the label in an example."""
    features = dict(info.features.items())
    kinds = (import_tfds().features.Image, import_tfds().features.ClassLabel)

    pairs = [
        pair
        for pair in itertools.permutations(features, 2)
        if all(map(isinstance, (features[key] for key in pair), kinds))
    ]
    if not pairs:
        raise ValueError(
            f"{info.full_name} is not a set of images with labels. Its features are "
            f"{features}."
        )
    # The data set may have more labels than the one to learn.
    keys = info.supervised_keys if info.supervised_keys in pairs else pairs[0]
    if features[keys[0]].np_dtype != np.uint8:
        raise ValueError(
            f"The images of {info.full_name} are "
            f"{np.dtype(features[keys[0]].np_dtype).name}, expected uint8."
        )
    return keys


def _reader(info, parts):
    """Return a function from an index to the serialized record."""
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
