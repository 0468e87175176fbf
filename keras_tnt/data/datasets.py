"""Loading a data set by its name or directory."""

import difflib
import os
from collections.abc import Sequence
from typing import Any

from keras_tnt.data.bundled import bundled_builder, import_tfds
from keras_tnt.data.folders import load_folder
from keras_tnt.data.inaturalist import load_inaturalist, year_of_archives
from keras_tnt.data.records import load_joined, load_prepared
from keras_tnt.data.source import ImageSource
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike

BUNDLED = "fashion_mnist_mini"


def load_dataset(
    data: str, split: str | None = None, data_dir: PathLike | None = None
) -> ImageSource:
    """Load a data set of labelled images.

    Args:
        data: one of

            - `"fashion_mnist_mini"`, the bundled data set;
            - the name of a tfds data set of labelled images, such as
              `"imagenet2012"`, `"cifar10"` or `"oxford_flowers102:2.1.1"`. If it is
              not prepared yet, it is downloaded and prepared, as by `tfds.load`;
            - an image folder: a directory with a subdirectory of images for each
              class, or with such directories as the splits `train`, `validation` and
              `test`, or by their other usual names, such as `training` and `valid`;
            - a directory that tfds has prepared, with its `dataset_info.json`;
            - a directory with the unpacked archives of iNaturalist-2019: images in
              `train_val2019`, with `train2019.json` and `val2019.json` beside it.
        split: the split; for tfds also a slice such as `"train[:10%]"`, or several
            splits, `"train+validation"`. `None` for directories without splits.
        data_dir: directory of tfds' data sets; `~/tensorflow_datasets` by default.

    Returns:
        An `ImageSource`.

    Raises:
        FileNotFoundError: if there is no such directory, tfds cannot prepare the
            data set, or files of iNaturalist are missing.
        ImportError: if tensorflow_datasets, or keras-tnt-demo-data for the bundled
            data set, is needed and not installed.
        ValueError: for an unknown name or split, a directory without images, or a tfds
            data set whose label is neither one class nor a list as in ReaL.

    Example:
        >>> from keras_tnt.data import load_dataset
        >>> source = load_dataset("fashion_mnist_mini", "train[:10%]")
        >>> len(source), len(source.class_names)
        (1200, 10)
    """
    data = os.fspath(data)
    if data == BUNDLED:
        return load_prepared(bundled_builder(), split)
    builder, directory = builder_or_directory(data, data_dir, "an image folder")
    if builder is not None:
        return load_prepared(builder, split)
    if year := year_of_archives(directory):
        return load_inaturalist(directory, year, split)
    return load_folder(directory, split)


def builder_or_directory(
    data: str, data_dir: PathLike | None, expected: str
) -> tuple[Any, str]:
    """Return the builder of a tfds data set, or the path of another directory.

    Args:
        data: a directory that tfds has prepared, another directory, or the name of a
            tfds data set.
        data_dir: directory of tfds' data sets; `~/tensorflow_datasets` by default.
        expected: what the other directory is, for the error.

    Returns:
        The `tfds.core.DatasetBuilder`, ``None`` for another directory, and the path.

    Raises:
        FileNotFoundError: if there is no such directory, or tfds cannot prepare the
            data set.
        ValueError: if there is no such data set.
    """
    directory = os.path.expanduser(data)
    if tf.io.gfile.isdir(directory):
        if tf.io.gfile.exists(os.path.join(directory, "dataset_info.json")):
            return import_tfds().builder_from_directory(directory), directory
        return None, directory
    if data.startswith(("/", ".", "~")) or "://" in data or data.endswith("/"):
        raise FileNotFoundError(
            f"There is no directory {data!r}. Expected {expected}, a directory that "
            "tfds has prepared, or the name of a tfds data set."
        )
    return prepared_builder(data, data_dir), directory


def load_joined_datasets(
    names: Sequence[str], split: str, data_dir: PathLike | None = None
) -> tuple[ImageSource, list[int]]:
    """Load tfds data sets of the same features one after the other, as one.

    Args:
        names: names for `load_dataset`.
        split: the split of all of them, or a slice of it.
        data_dir: directory of tfds' data sets; `~/tensorflow_datasets` by default.

    Returns:
        An `ImageSource`, and the number of images of each data set.

    Raises:
        FileNotFoundError: if tfds cannot prepare one of them.
        ValueError: as in `load_dataset`.
    """
    return load_joined([prepared_builder(name, data_dir) for name in names], split)


def prepared_builder(name: str, data_dir: PathLike | None) -> Any:
    """Return the builder of a tfds data set, and prepare it if necessary.

    Args:
        name: name of the data set.
        data_dir: directory of tfds' data sets; `~/tensorflow_datasets` by default.

    Raises:
        FileNotFoundError: if tfds cannot prepare it.
        ValueError: if there is no such data set.
    """
    tfds = import_tfds()
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        names = [BUNDLED, *tfds.list_builders(with_community_datasets=False)]
        similar = difflib.get_close_matches(name, names)
        raise ValueError(
            f"There is no directory and no tfds data set called {name!r}. "
            + (f"Did you mean {' or '.join(similar)}? " if similar else "")
            + f"Relative directories start from {os.getcwd()!r}."
        ) from None
    except (
        AssertionError,
        RuntimeError,
        ValueError,
    ) as error:  # no such version, or data_dir cannot be read
        raise ValueError(f"tfds cannot open {name!r}: {error}") from error
    try:
        builder.download_and_prepare()  # returns at once where it is prepared
    except Exception as error:  # of any kind, from network errors to a full disk
        raise FileNotFoundError(
            f"{name!r} is not prepared in {str(builder.data_dir)!r}, and tfds could "
            f"not prepare it: {error}"
        ) from error
    return builder
