"""Image folders: a directory with a subdirectory of images for each class."""

import logging
import os

from keras_tnt.data.source import ImageSource, files_source
from keras_tnt.images.suffixes import SUFFIXES, count_other_files, has_image_suffix
from keras_tnt.utils.lazy import tensorflow as tf

logger = logging.getLogger(__name__)

# Usual names of directories that are splits, in lower case.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval", "evaluation"),
    "test": ("test", "testing"),
}
SPLITS = {name: split for split, names in SPLIT_NAMES.items() for name in names}

# Directories that archives, editors and file systems add; so are all hidden ones.
FOREIGN = {"__macosx", "__pycache__", "@eadir", "$recycle.bin", "lost+found"}
FOREIGN |= {"system volume information"}


def load_folder(directory: str, split: str | None = None) -> ImageSource:
    """Load an image folder, or one of its splits.

    A directory has splits if its subdirectories have the usual names of splits, in any
    case: `train` or `training`; `validation`, `valid`, `val`, `dev` or `eval`; `test`
    or `testing`. The class names are the names of the class directories, in sorted
    order; those of the training split where there is one. Class directories may have
    subdirectories. Hidden files and directories, those that archives add, such as
    `__MACOSX`, and files without an image suffix are left out; a log line says so.

    Args:
        directory: the directory, on any file system that `tf.io.gfile` supports.
        split: the split, by any of its names, or `None` without splits.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: if the split is unknown, only some of the directories are splits or
            two are the same, the directory has no class directories, a class has no
            images, or a split has classes that the training split does not have.
    """
    directory, classes_from = _find_split(directory, split)
    class_names = _subdirectories(classes_from)
    present = _subdirectories(directory)
    unknown = set(present) - set(class_names)
    if unknown:
        raise ValueError(
            f"{directory!r} has classes that {classes_from!r} does not have: "
            f"{sorted(unknown)[:5]}. Rename or remove these directories."
        )
    _check_no_splits_inside(directory, present)
    paths, labels = _find_images(directory, class_names, directory == classes_from)
    return files_source(directory, class_names, paths, labels)


def _find_split(directory, split):
    """The directory of a split, and the one that gives the class names."""
    splits = _splits(directory)
    wanted = SPLITS.get((split or "").lower())
    if splits and wanted not in splits:
        raise ValueError(
            f"Unknown split {split!r}: directory {directory!r} has the splits "
            f"{sorted(splits)}."
        )
    if splits:
        names = splits.get("train", splits[wanted]), splits[wanted]
        classes_from, chosen = (os.path.join(directory, name) for name in names)
        return chosen, classes_from
    if split is not None:
        raise ValueError(
            f"Directory {directory!r} has no splits but class directories; got "
            f"split={split!r}. Omit the split, or move the class directories to "
            f"{os.path.join(directory, 'train')!r} and so on."
        )
    return directory, directory


def _splits(directory):
    """The names of the directories that are splits, by split; empty without splits."""
    names = _subdirectories(directory)
    found = [name for name in names if name.lower() in SPLITS]
    others = [name for name in names if name not in found]
    if not found or (others and _is_class_of(directory, found)):
        return {}
    if others:
        raise ValueError(
            f"Only some of the directories in {directory!r} are splits: {found}, but "
            f"not {others[:5]}. Expected the splits train, validation and test only, "
            "or class directories only. Move or rename the others."
        )
    splits = {SPLITS[name.lower()]: name for name in found}
    if len(splits) < len(found):
        raise ValueError(
            f"Several directories in {directory!r} are the same split: {found}. Keep "
            "one of each, or rename or join them."
        )
    return splits


def _is_class_of(directory, found):
    """Whether a single directory with the name of a split is a class, such as trains.

    The directory of a class has images, that of a split has directories.
    """
    return len(found) == 1 and not _subdirectories(os.path.join(directory, found[0]))


def _check_no_splits_inside(directory, class_names):
    for name in class_names:
        inside = _subdirectories(os.path.join(directory, name))
        if len(inside) > 1 and all(each.lower() in SPLITS for each in inside):
            path = os.path.join(directory, name)
            raise ValueError(
                f"Class directory {path!r} has the directories {inside}, which are "
                f"splits. Load {path!r} if it is a data set; if it is a class, move "
                "its splits up, to train/CLASS and so on."
            )


def _subdirectories(directory):
    return [name for name in _directories(directory) if not _is_foreign(name)]


def _directories(directory):
    if not tf.io.gfile.isdir(directory):
        return []
    names = sorted(name.rstrip("/") for name in tf.io.gfile.listdir(directory))
    return [n for n in names if tf.io.gfile.isdir(os.path.join(directory, n))]


def _is_foreign(name):
    return name.startswith(".") or name.lower() in FOREIGN


def _find_images(directory, class_names, every_class):
    """The paths of the images in class directories, and their labels."""
    paths, labels, empty, others = [], [], [], []
    for label, name in enumerate(class_names):
        files = _files(os.path.join(directory, name))
        images = [path for path in files if has_image_suffix(os.path.basename(path))]
        if not images:
            empty.append(name)
        paths += images
        labels += [label] * len(images)
        others += files
    others = count_other_files(map(os.path.basename, others))
    if not paths or (every_class and empty):
        found = f"These have none: {empty[:5]}." if empty else "There are none."
        raise ValueError(
            f"Expected a directory for each class in {directory!r}, with images "
            f"({', '.join(sorted(SUFFIXES))}). {found} Fill or remove them."
            + (f" Files of other formats: {others}." if others else "")
        )
    _log_left_out(directory, others)
    return paths, labels


def _files(directory):
    """The paths of all files in a directory and below, but for foreign directories."""
    if not tf.io.gfile.isdir(directory):
        return []
    files = []
    for parent, _, names in tf.io.gfile.walk(directory):
        below = parent[len(directory) :].strip("/").split("/")
        if not any(map(_is_foreign, filter(None, below))):
            files += [os.path.join(parent, name) for name in names]
    return sorted(files)


def _log_left_out(directory, others):
    left_out = [name for name in _directories(directory) if _is_foreign(name)]
    beside = [
        name
        for name in tf.io.gfile.listdir(directory)
        if has_image_suffix(name)
        and not tf.io.gfile.isdir(os.path.join(directory, name))
    ]
    left_out += [f"{len(beside)} images beside the class directories"] if beside else []
    left_out += [f"files that are not read as images ({others})"] if others else []
    if left_out:
        logger.warning("Left out of %s: %s.", directory, ", ".join(left_out))
