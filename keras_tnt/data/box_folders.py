"""Directories of images with annotations in COCO's format."""

import json
import os
import re
from typing import Any

from keras_tnt.data.box_source import BoxSource, box_files_source, encode_objects
from keras_tnt.data.folders import SPLITS
from keras_tnt.utils.lazy import tensorflow as tf

IMAGES = "images"
ANNOTATIONS = "annotations"
FILE = re.compile(r"(?:instances_)?(?P<name>(?P<split>[A-Za-z]+)\d*)\.json")


def load_box_folder(directory: str, split: str | None = None) -> BoxSource:
    """Load a directory with annotations in COCO's format, or one of its splits.

    Args:
        directory: the directory, as `load_box_dataset` describes it, on any file system
            that `tf.io.gfile` supports.
        split: the split, by any of its usual names, or `None` without splits.

    Returns:
        A `BoxSource`.

    Raises:
        FileNotFoundError: if annotations or images are missing.
        ValueError: if the split is unknown or the annotations are invalid.
    """
    path, images = _files_of(directory, split)
    record = _read(path)
    categories = sorted(_field(path, record, "categories"), key=lambda c: c["id"])
    numbers = {c["id"]: number for number, c in enumerate(categories)}
    if not numbers or len(numbers) < len(categories):
        raise ValueError(
            f"Expected categories with an id of their own in {path!r}, got "
            f"{[c['id'] for c in categories][:10]}."
        )
    annotated = _field(path, record, "images")
    rows: dict[Any, list] = {image["id"]: [] for image in annotated}
    if not rows or len(rows) < len(annotated):
        raise ValueError(
            f"Expected images with an id of their own in {path!r}, got "
            f"{len(annotated)} images with {len(rows)} ids."
        )
    for annotation in _field(path, record, "annotations"):
        _add(path, annotation, rows, numbers)
    files = [os.path.join(images, image["file_name"]) for image in annotated]
    _check_files(path, files)
    objects = [
        encode_objects(
            rows[image["id"]], (image.get("height", 0), image.get("width", 0))
        )
        for image in annotated
    ]
    return box_files_source(path, [c["name"] for c in categories], files, objects)


def _files_of(directory, split):
    """The file of annotations of a split, and the directory of its images."""
    single = os.path.join(directory, f"{ANNOTATIONS}.json")
    images = os.path.join(directory, IMAGES)
    if tf.io.gfile.exists(single):
        if split is not None:
            raise ValueError(
                f"{directory!r} has no splits but one {ANNOTATIONS}.json; got split="
                f"{split!r}. Omit the split."
            )
        return single, images
    parent = os.path.join(directory, ANNOTATIONS)
    names = tf.io.gfile.listdir(parent) if tf.io.gfile.isdir(parent) else []
    found = {}
    for name in sorted(names):
        match = FILE.fullmatch(name)
        if match and match["split"].lower() in SPLITS:
            found.setdefault(SPLITS[match["split"].lower()], []).append(match)
    if not found:
        raise FileNotFoundError(
            f"Expected in {directory!r} the file {ANNOTATIONS}.json, or files such as "
            f"{ANNOTATIONS}/instances_train2017.json, found {sorted(names)[:5]}."
        )
    matches = found.get(SPLITS.get((split or "").lower()), [])
    if len(matches) != 1:
        several = [match.string for match in matches]
        raise ValueError(
            f"Several files are the split {split!r} of {parent!r}: {several}. Keep one."
            if several
            else f"Unknown split {split!r}: {parent!r} has the splits {sorted(found)}."
        )
    name = matches[0]["name"]
    places = [os.path.join(directory, name), os.path.join(images, name)]
    places = [place for place in places if tf.io.gfile.isdir(place)]
    if not places:
        raise FileNotFoundError(
            f"There is no directory of the images of {matches[0].string!r}. Expected "
            f"{name!r} or {os.path.join(IMAGES, name)!r} in {directory!r}."
        )
    return os.path.join(parent, matches[0].string), places[0]


def _read(path):
    with tf.io.gfile.GFile(path) as file:
        try:
            record = json.load(file)
        except ValueError as error:
            raise ValueError(f"{path!r} is not JSON: {error}.") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path!r} is not in COCO's format: expected a JSON object.")
    return record


def _field(path, record, name):
    """A list of the annotations' file, whose elements have what is needed."""
    needed = {
        "images": {"id", "file_name"},
        "annotations": {"image_id", "category_id", "bbox"},
        "categories": {"id", "name"},
    }[name]
    values = record.get(name)
    if not isinstance(values, list):
        raise ValueError(
            f"{path!r} is not in COCO's format: expected a list of {name}, got "
            f"{type(values).__name__}."
        )
    for value in values:
        if not isinstance(value, dict) or needed - set(value):
            raise ValueError(
                f"{path!r} is not in COCO's format: expected {sorted(needed)} in each "
                f"of the {name}, got {value}."
            )
    return values


def _add(path, annotation, rows, numbers):
    """Add an annotation to the rows of its image."""
    image, category = annotation["image_id"], annotation["category_id"]
    name = f"The annotation {annotation.get('id', annotation)} in {path!r}"
    if image not in rows:
        raise ValueError(f"{name} is of the image {image}, which is not listed.")
    if category not in numbers:
        raise ValueError(
            f"{name} is of the category {category}, expected one of the "
            f"{len(numbers)} that are listed."
        )
    try:
        left, top, width, height = map(float, annotation["bbox"])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} has the bbox {annotation['bbox']}, expected [left, top, width, "
            "height]."
        ) from error
    area = annotation.get("area", width * height)
    crowd = annotation.get("iscrowd", 0)
    box = left, top, left + width, top + height
    rows[image].append((*box, numbers[category], crowd, area))


def _check_files(path, files):
    """Raise an error if images are missing; directories are listed only once."""
    parents = {os.path.dirname(file) for file in files}
    found = {
        os.path.join(parent, name)
        for parent in parents
        if tf.io.gfile.isdir(parent)
        for name in tf.io.gfile.listdir(parent)
    }
    missing = [file for file in files if file not in found]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the {len(files)} images in {path!r} do not exist, such "
            f"as {missing[0]!r}. Add them, or remove them from the annotations."
        )
