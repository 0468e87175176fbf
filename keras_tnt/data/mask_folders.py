"""Directories of images and masks."""

import os
from collections.abc import Iterable

from keras_tnt.data.folders import SPLITS
from keras_tnt.data.mask_source import MaskSource, mask_files_source
from keras_tnt.images.suffixes import has_image_suffix
from keras_tnt.utils.lazy import tensorflow as tf

IMAGES = "images"
# Directories of masks, and the label of the first class in them.
FIRST_LABEL = {"masks": 0, "annotations": 1}
CLASS_NAMES = "classes.txt"
ADE_CLASS_NAMES = "objectInfo150.txt"


def load_mask_folder(directory: str, split: str | None = None) -> MaskSource:
    """Load a directory of images and masks, or one of its splits.

    Args:
        directory: the directory, as `load_mask_dataset` describes it, on any file
            system that `tf.io.gfile` supports.
        split: the split, by any of its usual names, or `None` without splits.

    Returns:
        A `MaskSource`.

    Raises:
        FileNotFoundError: if the directory of masks or the class names are missing.
        ValueError: if the split is unknown, an image has no mask or a mask no image,
            there are no images, or a class has no name.
    """
    kind = _mask_directory(directory)
    names = _class_names(directory, ade=kind == "annotations")
    images, masks = (os.path.join(directory, name) for name in (IMAGES, kind))
    chosen = _choose_split(images, split)
    if chosen:
        images, masks = os.path.join(images, chosen), os.path.join(masks, chosen)
    image_files = _by_stem(images, filter(has_image_suffix, _files(images)))
    mask_files = _by_stem(masks, (n for n in _files(masks) if n.endswith(".png")))
    _check_pairs(images, image_files, masks, mask_files)
    stems = sorted(image_files)
    return mask_files_source(
        images,
        names,
        [image_files[stem] for stem in stems],
        [mask_files[stem] for stem in stems],
        FIRST_LABEL[kind],
    )


def _mask_directory(directory):
    found = [name for name in FIRST_LABEL if _is_directory(directory, name)]
    if len(found) != 1 or not _is_directory(directory, IMAGES):
        raise FileNotFoundError(
            f"Expected in {directory!r} the directory {IMAGES!r} and one of "
            f"{' and '.join(map(repr, FIRST_LABEL))}, found {_names(directory)[:5]}."
        )
    return found[0]


def _class_names(directory, ade):
    path = os.path.join(directory, CLASS_NAMES)
    if tf.io.gfile.exists(path):
        names = [line.strip() for line in _lines(path)]
    else:
        path = os.path.join(directory, ADE_CLASS_NAMES)
        if not ade or not tf.io.gfile.exists(path):
            raise FileNotFoundError(
                f"There is no {CLASS_NAMES!r} in {directory!r}. Write the names of the "
                "classes into it, one a line, in the order of their labels."
            )
        # Columns: number, three shares, synonyms of the name; a line of titles.
        names = [line.split("\t")[-1].split(",")[0].strip() for line in _lines(path)]
        names = names[1:]
    if not names or not all(names):
        raise ValueError(f"Expected a name in each line of {path!r}, got {names[:5]}.")
    return names


def _lines(path):
    with tf.io.gfile.GFile(path) as file:
        return file.read().rstrip("\n").split("\n")


def _choose_split(images, split):
    """The name of a split's directory; `None` without splits."""
    names = [name for name in _names(images) if _is_directory(images, name)]
    splits = {SPLITS[name.lower()]: name for name in names if name.lower() in SPLITS}
    wanted = SPLITS.get((split or "").lower())
    if splits and wanted not in splits:
        raise ValueError(
            f"Unknown split {split!r}: {images!r} has the splits {sorted(splits)}."
        )
    if not splits and split is not None:
        raise ValueError(
            f"{images!r} has no splits but images; got split={split!r}. Omit the "
            f"split, or move the images to {os.path.join(images, 'train')!r} and so on."
        )
    return splits.get(wanted)


def _check_pairs(images, image_files, masks, mask_files):
    if not image_files:
        raise ValueError(f"There are no images in {images!r}.")
    for found, others, where, what in (
        (image_files, mask_files, masks, "mask (.png)"),
        (mask_files, image_files, images, "image"),
    ):
        alone = sorted(set(found) - set(others))
        if alone:
            raise ValueError(
                f"{len(alone)} of {len(found)} files have no {what} of the same name "
                f"in {where!r}, such as {found[alone[0]]!r}. Add or remove them."
            )


def _by_stem(directory: str, names: Iterable[str]) -> dict[str, str]:
    """Paths by the names of the files without suffix."""
    paths: dict[str, str] = {}
    for name in names:
        path = os.path.join(directory, name)
        other = paths.setdefault(os.path.splitext(name)[0], path)
        if other != path:
            raise ValueError(
                f"{other!r} and {path!r} have the same name without suffix, which "
                "belongs to one mask. Rename one of them."
            )
    return paths


def _files(directory):
    names = _names(directory)
    return [
        n for n in names if not n.startswith(".") and not _is_directory(directory, n)
    ]


def _names(directory):
    if not tf.io.gfile.isdir(directory):
        return []
    return sorted(name.rstrip("/") for name in tf.io.gfile.listdir(directory))


def _is_directory(directory, name):
    return tf.io.gfile.isdir(os.path.join(directory, name))
