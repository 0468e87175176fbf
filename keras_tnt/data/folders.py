"""Image folders: a directory with a subdirectory of images for each class."""

import os

import tensorflow as tf

from keras_tnt.data.source import ImageSource, lookup
from keras_tnt.images import SUFFIXES

# Names of directories that are splits, and the split that each stands for.
SPLITS = {"train": "train", "val": "validation", "validation": "validation"}
SPLITS |= {"test": "test"}


def load_folder(directory: str, split: str | None = None) -> ImageSource:
    """Load an image folder, or one of its splits.

    A directory whose subdirectories are all called `train`, `validation`, `val` or
    `test` has splits. The class names are the names of the class directories, in
    sorted order; those of `train` where there is one. Class directories may have
    subdirectories. Hidden files and files without an image suffix are ignored.

    Args:
        directory: the directory, on any file system that `tf.io.gfile` supports.
        split: the split, or `None` without splits. `"val"` means `"validation"`.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: if the split is unknown, the directory has no class directories, a
            class has no images, or a split has classes that `train` does not have.
    """
    subdirectories = _subdirectories(directory)
    splits = {SPLITS[name]: name for name in subdirectories if name in SPLITS}
    has_splits = bool(splits) and len(splits) == len(subdirectories)
    wanted = SPLITS.get(split or "", "")
    if has_splits and wanted not in splits:
        raise ValueError(
            f"Unknown split {split!r}: directory {directory!r} has the splits "
            f"{sorted(splits)}."
        )
    if not has_splits and split is not None:
        raise ValueError(
            f"Directory {directory!r} has no splits but class directories; got "
            f"split={split!r}. Omit the split, or move the class directories to "
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
            f"{directory!r} has classes that {classes_from!r} does not have: "
            f"{sorted(unknown)[:5]}. Rename or remove these directories."
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
    """The paths of the images in class directories, and their labels."""
    paths, labels, empty = [], [], []
    for label, name in enumerate(class_names):
        images = _images(os.path.join(directory, name))
        if not images:
            empty.append(name)
        paths += images
        labels += [label] * len(images)
    if not paths or (every_class and empty):
        found = f"These have none: {empty[:5]}." if empty else "There are none."
        raise ValueError(
            f"Expected a directory for each class in {directory!r}, with images "
            f"({', '.join(sorted(SUFFIXES))}). {found} Fill or remove them."
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
