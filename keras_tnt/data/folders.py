"""Directories of class directories."""

import os

import tensorflow as tf

from keras_tnt.data.source import ImageSource, lookup
from keras_tnt.images import SUFFIXES

# Directories that are taken for splits, and the names that each goes by.
SPLITS = {"train": "train", "val": "validation", "validation": "validation"}
SPLITS |= {"test": "test"}


def load_folder(directory: str, split: str | None = None) -> ImageSource:
    """Opens a directory of class directories, or a split of one that has them in splits.

    A directory whose subdirectories are all called `train`, `validation`, `val` or `test` has
    splits. The names of the classes are those of the directories (of `train`, where there
    is one), in sorted order. Images may lie deeper in a class directory; files that end
    like no image, and hidden ones, are left out.

    Args:
        directory: the directory; also on remote file systems that `tf.io.gfile` knows.
        split: the split, if there are any. `"validation"` and `"val"` mean the same.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: for an unknown split, a directory without class directories, a class
            without images, or classes that `train` does not have.
    """
    subdirectories = _subdirectories(directory)
    splits = {SPLITS[name]: name for name in subdirectories if name in SPLITS}
    has_splits = bool(splits) and len(splits) == len(subdirectories)
    wanted = SPLITS.get(split or "", "")
    if has_splits and wanted not in splits:
        raise ValueError(
            f"Directory {directory!r} has the splits {sorted(splits)}; got split={split!r}."
        )
    if not has_splits and split is not None:
        raise ValueError(
            f"Directory {directory!r} has no splits but holds class directories itself; got "
            f"split={split!r}. Leave it out, or move the class directories to "
            f"{os.path.join(directory, 'train')!r} and so on."
        )
    classes_from = directory
    if has_splits:
        classes_from = os.path.join(directory, splits.get("train", splits[wanted]))
        directory = os.path.join(directory, splits[wanted])
    class_names = _subdirectories(classes_from)
    unknown = set(_subdirectories(directory)) - set(class_names)
    if unknown:
        raise ValueError(
            f"{directory!r} has directories of classes that {classes_from!r} does not have: "
            f"{sorted(unknown)[:5]}. Rename or remove them."
        )
    paths, labels = _find_images(directory, class_names, directory == classes_from)
    fetch = lookup(paths, labels)

    def read(index):
        path, label = fetch(index)
        return tf.io.read_file(path), label

    return ImageSource(
        directory, tuple(class_names), len(paths), read, lambda index: fetch(index)[0]
    )


def _subdirectories(directory):
    return sorted(
        name.rstrip("/")
        for name in tf.io.gfile.listdir(directory)
        if not name.startswith(".") and tf.io.gfile.isdir(os.path.join(directory, name))
    )


def _find_images(directory, class_names, every_class):
    """The images of a directory of class directories, and their labels."""
    paths, labels, empty = [], [], []
    for label, name in enumerate(class_names):
        found = _images(os.path.join(directory, name))
        if not found:
            empty.append(name)
        paths += found
        labels += [label] * len(found)
    if not paths or (every_class and empty):
        where = (
            f"Class directories without: {empty[:5]}."
            if empty
            else "It has no directories."
        )
        raise ValueError(
            f"Expected in {directory!r} a directory for each class, with images that end "
            f"in {', '.join(sorted(SUFFIXES))}. {where} Fill or remove them."
        )
    return paths, labels


def _images(directory):
    if not tf.io.gfile.isdir(directory):
        return []
    return sorted(
        os.path.join(parent, name)
        for parent, _, names in tf.io.gfile.walk(directory)
        for name in names
        if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")
    )
