"""Any data set by its name or directory."""

import difflib
import os

import tensorflow as tf

from keras_tnt.data.bundled import bundled_builder, import_tfds
from keras_tnt.data.folders import load_folder
from keras_tnt.data.records import load_prepared
from keras_tnt.data.source import ImageSource
from keras_tnt.utils.typing import PathLike

BUNDLED = "fashion_mnist_mini"


def load_dataset(
    data: str, split: str | None = None, data_dir: PathLike | None = None
) -> ImageSource:
    """Opens a data set of labelled images.

    Args:
        data: one of

            - `"fashion_mnist_mini"`, the embedded data set;
            - the name of any tfds set of labelled images, as tfds takes it:
              `"imagenet2012"`, `"cifar10"`, `"oxford_flowers102:2.1.1"`. What is not
              prepared yet is downloaded and prepared first, as by `tfds.load`;
            - a directory of class directories of images, or one with such directories as splits:
              `train`, `validation` or `val`, `test`;
            - a directory that tfds has prepared, with its `dataset_info.json`.
        split: the split; for tfds also a slice such as `"train[:10%]"`. `None` is for
            directories that have none.
        data_dir: where tfds keeps its data sets; by default `~/tensorflow_datasets`.

    Returns:
        An `ImageSource`.

    Raises:
        FileNotFoundError: if there is no such directory, or a data set cannot be prepared.
        ImportError: if tensorflow_datasets is needed and not installed.
        ValueError: for an unknown name or split, or a directory without images.

    Example:
        >>> from keras_tnt.data import load_dataset
        >>> source = load_dataset("fashion_mnist_mini", "train[:10%]")
        >>> len(source), len(source.class_names)
        (1200, 10)
    """
    data = os.fspath(data)
    if data == BUNDLED:
        return load_prepared(bundled_builder(), split)
    directory = os.path.expanduser(data)
    if tf.io.gfile.isdir(directory):
        if tf.io.gfile.exists(os.path.join(directory, "dataset_info.json")):
            return load_prepared(import_tfds().builder_from_directory(directory), split)
        return load_folder(directory, split)
    if data.startswith(("/", ".", "~")) or "://" in data or data.endswith("/"):
        raise FileNotFoundError(
            f"There is no directory {data!r}. Expected a directory of class directories, one "
            "that tfds has prepared, or the name of a tfds data set."
        )
    return load_prepared(_prepared_builder(data, data_dir), split)


def _prepared_builder(name, data_dir):
    """The builder of a tfds data set that is there, or has just been made."""
    tfds = import_tfds()
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        names = [BUNDLED, *tfds.list_builders(with_community_datasets=False)]
        similar = difflib.get_close_matches(name, names)
        raise ValueError(
            f"There is neither a directory nor a tfds data set called {name!r}. "
            + (f"Did you mean {' or '.join(similar)}? " if similar else "")
            + f"Directories are looked up in {os.getcwd()!r}."
        ) from None
    except (
        AssertionError,
        ValueError,
    ) as error:  # no such version
        raise ValueError(f"tfds cannot open {name!r}: {error}") from error
    try:
        builder.download_and_prepare()  # returns at once where it is prepared
    except Exception as error:  # any, from a server's answer to a full disk
        raise FileNotFoundError(
            f"{name!r} is not prepared in {str(builder.data_dir)!r}, and tfds could "
            f"not do it now: {error}"
        ) from error
    return builder
