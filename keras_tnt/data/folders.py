"""Folders of class folders."""

import os

import tensorflow as tf

from keras_tnt.data.source import ImageSource, lookup
from keras_tnt.images import SUFFIXES

# Folders that are taken for splits, and the names that each goes by.
SPLITS = {"train": "train", "val": "validation", "validation": "validation"}
SPLITS |= {"test": "test"}


def open_folder(folder, split=None):
    """Opens a folder of class folders, or a split of one that has them in splits.

    A folder whose subfolders are all called `train`, `validation`, `val` or `test` has
    splits. The names of the classes are those of the folders (of `train`, where there
    is one), in sorted order. Pictures may lie deeper in a class folder; files that end
    like no picture, and hidden ones, are left out.

    Args:
        folder: the folder; also on remote file systems that `tf.io.gfile` knows.
        split: the split, if there are any. `"validation"` and `"val"` mean the same.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: for an unknown split, a folder without class folders, a class
            without pictures, or classes that `train` does not have.
    """
    subfolders = _subfolders(folder)
    splits = {SPLITS[name]: name for name in subfolders if name in SPLITS}
    has_splits = bool(splits) and len(splits) == len(subfolders)
    wanted = SPLITS.get(split)
    if has_splits and wanted not in splits:
        raise ValueError(
            f"Folder {folder!r} has the splits {sorted(splits)}; got split={split!r}."
        )
    if not has_splits and split is not None:
        raise ValueError(
            f"Folder {folder!r} has no splits but holds class folders itself; got "
            f"split={split!r}. Leave it out, or move the class folders to "
            f"{os.path.join(folder, 'train')!r} and so on."
        )
    classes_from = folder
    if has_splits:
        classes_from = os.path.join(folder, splits.get("train", splits[wanted]))
        folder = os.path.join(folder, splits[wanted])
    class_names = _subfolders(classes_from)
    unknown = set(_subfolders(folder)) - set(class_names)
    if unknown:
        raise ValueError(
            f"{folder!r} has folders of classes that {classes_from!r} does not have: "
            f"{sorted(unknown)[:5]}. Rename or remove them."
        )
    paths, labels = _find_pictures(folder, class_names, folder == classes_from)
    fetch = lookup(paths, labels)

    def read(index):
        path, label = fetch(index)
        return tf.io.read_file(path), label

    return ImageSource(
        folder, tuple(class_names), len(paths), read, lambda index: fetch(index)[0]
    )


def _subfolders(folder):
    return sorted(
        name.rstrip("/")
        for name in tf.io.gfile.listdir(folder)
        if not name.startswith(".") and tf.io.gfile.isdir(os.path.join(folder, name))
    )


def _find_pictures(folder, class_names, every_class):
    """The pictures of a folder of class folders, and their labels."""
    paths, labels, empty = [], [], []
    for label, name in enumerate(class_names):
        found = _pictures(os.path.join(folder, name))
        if not found:
            empty.append(name)
        paths += found
        labels += [label] * len(found)
    if not paths or (every_class and empty):
        where = (
            f"Class folders without: {empty[:5]}." if empty else "It has no folders."
        )
        raise ValueError(
            f"Expected in {folder!r} a folder for each class, with pictures that end "
            f"in {', '.join(sorted(SUFFIXES))}. {where} Fill or remove them."
        )
    return paths, labels


def _pictures(folder):
    if not tf.io.gfile.isdir(folder):
        return []
    return sorted(
        os.path.join(parent, name)
        for parent, _, names in tf.io.gfile.walk(folder)
        for name in names
        if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")
    )
