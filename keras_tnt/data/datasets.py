"""Any data set by its name or folder."""

import difflib
import os

import tensorflow as tf

from keras_tnt.data.bundled import embedded_builder, import_tfds
from keras_tnt.data.folders import open_folder
from keras_tnt.data.records import open_prepared

EMBEDDED = "fashion_mnist_mini"


def open_images(data, split=None, data_dir=None):
    """Opens a data set of labelled pictures.

    Args:
        data: one of

            - `"fashion_mnist_mini"`, the embedded data set;
            - the name of any tfds set of labelled pictures, as tfds takes it:
              `"imagenet2012"`, `"cifar10"`, `"oxford_flowers102:2.1.1"`. What is not
              prepared yet is downloaded and prepared first, as by `tfds.load`;
            - a folder of class folders of pictures, or one with such folders as splits:
              `train`, `validation` or `val`, `test`;
            - a folder that tfds has prepared, with its `dataset_info.json`.
        split: the split; for tfds also a slice such as `"train[:10%]"`. `None` is for
            folders that have none.
        data_dir: where tfds keeps its data sets; by default `~/tensorflow_datasets`.

    Returns:
        An `ImageSource`.

    Raises:
        FileNotFoundError: if there is no such folder, or a data set cannot be prepared.
        ImportError: if tensorflow_datasets is needed and not installed.
        ValueError: for an unknown name or split, or a folder without pictures.

    Example:
        >>> from keras_tnt.data import open_images
        >>> source = open_images("fashion_mnist_mini", "train[:10%]")
        >>> len(source), len(source.class_names)
        (1200, 10)
    """
    data = os.fspath(data)
    if data == EMBEDDED:
        return open_prepared(embedded_builder(), split)
    folder = os.path.expanduser(data)
    if tf.io.gfile.isdir(folder):
        if tf.io.gfile.exists(os.path.join(folder, "dataset_info.json")):
            return open_prepared(import_tfds().builder_from_directory(folder), split)
        return open_folder(folder, split)
    if data.startswith(("/", ".", "~")) or "://" in data or data.endswith("/"):
        raise FileNotFoundError(
            f"There is no folder {data!r}. Expected a folder of class folders, one "
            "that tfds has prepared, or the name of a tfds data set."
        )
    return open_prepared(_prepared_builder(data, data_dir), split)


def _prepared_builder(name, data_dir):
    """The builder of a tfds data set that is there, or has just been made."""
    tfds = import_tfds()
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        names = [EMBEDDED, *tfds.list_builders(with_community_datasets=False)]
        similar = difflib.get_close_matches(name, names)
        raise ValueError(
            f"There is neither a folder nor a tfds data set called {name!r}. "
            + (f"Did you mean {' or '.join(similar)}? " if similar else "")
            + f"Folders are looked up in {os.getcwd()!r}."
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
