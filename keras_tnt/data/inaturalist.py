"""The archives of iNaturalist's competitions, as they are after unpacking."""

import json
import os
import re

from keras_tnt.data.folders import SPLITS
from keras_tnt.data.source import ImageSource, files_source
from keras_tnt.utils.lazy import tensorflow as tf

IMAGES = re.compile(r"train_val(20\d\d)")
# How the names of the annotation files begin, by split.
ANNOTATIONS = {"train": "train", "validation": "val"}


def year_of_archives(directory: str) -> str | None:
    """Return the year of the competition whose images are in a directory.

    Args:
        directory: the directory into which archives may have been unpacked.

    Returns:
        `"2019"` for `train_val2019`; `None` if there is no such directory, or several.
    """
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(directory)]
    years = [match[1] for match in map(IMAGES.fullmatch, names) if match]
    return years[0] if len(years) == 1 else None


def load_inaturalist(directory: str, year: str, split: str | None) -> ImageSource:
    """Load a split of an unpacked competition, such as iNaturalist-2019.

    The directory has `train_val2019`, with the images in a directory for each class,
    and the annotations `train2019.json` and `val2019.json`, which say which images are
    in a split. Labels are numbered in the order of the classes' ids.

    Args:
        directory: the directory, on any file system that `tf.io.gfile` supports.
        year: the year of the competition, from `year_of_archives`.
        split: the split, `train` or `validation`, by any of its usual names.

    Returns:
        An `ImageSource`.

    Raises:
        FileNotFoundError: if the annotations or the first image are missing.
        ValueError: if the split is unknown, or the annotations cannot be read.
    """
    prefix = ANNOTATIONS.get(SPLITS.get((split or "").lower(), ""))
    if prefix is None:
        raise ValueError(
            f"Unknown split {split!r}: {directory!r} has the splits "
            f"{list(ANNOTATIONS)} of iNaturalist."
        )
    annotations = os.path.join(directory, f"{prefix}{year}.json")
    class_names, files, labels = _read(annotations)
    paths = [os.path.join(directory, file) for file in files]
    if not tf.io.gfile.exists(paths[0]):
        raise FileNotFoundError(
            f"There is no {paths[0]!r}, which {annotations!r} lists. Unpack "
            f"train_val{year}.tar.gz in {directory!r}."
        )
    return files_source(f"{directory} {split}", class_names, paths, labels)


def _read(path):
    """The class names, and the files and labels of a split's images."""
    if not tf.io.gfile.exists(path):
        raise FileNotFoundError(
            f"There is no {path!r}, which lists the images of the split. Unpack "
            f"{os.path.basename(path)}.tar.gz beside the images."
        )
    try:
        with tf.io.gfile.GFile(path) as file:
            record = json.load(file)
        names = {each["id"]: str(each["name"]) for each in record["categories"]}
        files = {image["id"]: image["file_name"] for image in record["images"]}
        ids = sorted(names)
        numbers = {each: number for number, each in enumerate(ids)}
        images = [
            (files[each["image_id"]], numbers[each["category_id"]])
            for each in record["annotations"]
        ]
        paths, labels = zip(*images, strict=True)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path!r} is not an annotation file of iNaturalist with images, "
            f"categories and annotations: {error!r}. Unpack it again."
        ) from error
    return tuple(names[each] for each in ids), paths, labels
