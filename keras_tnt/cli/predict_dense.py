"""`keras-tnt predict` with the runs of segmenters and detectors."""

import argparse
import json
import os
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

from keras_tnt.images import load_image
from keras_tnt.inference import (
    detect,
    find_images,
    load_detector,
    load_segmenter,
    predict_mask,
    write_mask,
)
from keras_tnt.utils.files import create_or_next_directory
from keras_tnt.visualization import plot_boxes, plot_masks
from keras_tnt.visualization.plot_masks import class_colors


class Masks:
    """Masks of a segmentation's run: a mask and a plot for each image."""

    directory = "masks"
    endings = (".png", "_plot.png")
    found = "shares"  # in a record

    def __init__(self, source: str):
        self.segmenter = load_segmenter(source)
        self.colors = class_colors(len(self.segmenter.class_names))

    def write(
        self, image: np.ndarray, files: list[Path], top: int
    ) -> tuple[dict[str, Any], list[str]]:
        """Write the files of an image; return a record and lines that describe it."""
        names = self.segmenter.class_names
        mask = predict_mask(self.segmenter, image)
        write_mask(mask, self.colors, files[0])
        plot_masks([image], [mask], names, files[1])
        shares = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
        best = np.argsort(-shares, kind="stable")[:top]
        found = [{"class": names[n], "share": float(shares[n])} for n in best]
        lines = [f"{each['share']:7.2%}  {each['class']}" for each in found]
        return {"mask": str(files[0]), "shares": found}, lines


class Boxes:
    """Boxes of a detection's run: a plot for each image."""

    directory = "boxes"
    endings = (".png",)
    found = "objects"  # in a record

    def __init__(self, source: str):
        self.detector = load_detector(source)

    def write(
        self, image: np.ndarray, files: list[Path], top: int
    ) -> tuple[dict[str, Any], list[str]]:
        """Write the file of an image; return a record and lines that describe it."""
        best = detect(self.detector, image)[:top]
        rows = [(*each.box, each.label, each.score) for each in best]
        plot_boxes([image], [rows], self.detector.class_names, files[0])
        found = [
            {"class": each.class_name, "score": each.score, "box": list(each.box)}
            for each in best
        ]
        lines = [
            f"{each.score:7.2%}  {each.class_name}  "
            + " ".join(f"{edge:.1f}" for edge in each.box)
            for each in best
        ]
        return {"plot": str(files[0]), "objects": found}, lines


KINDS: dict[str, Any] = {"segmentation": Masks, "detection": Boxes}


def predict_dense(options: argparse.Namespace, task: str) -> int:
    """Write what a run predicts; the exit status is 1 if an image cannot be read."""
    if options.precision:
        raise ValueError(
            f"A model for {task} computes in the precision of its training. Leave out "
            f"--precision {options.precision}."
        )
    images = find_images(options.images)
    kind = KINDS[task]
    _check_files(images, kind.endings)
    model = kind(options.model)
    out = create_or_next_directory(options.out, kind.directory)
    failed = 0
    for path in images:
        try:
            image = np.asarray(load_image(path, not options.ignore_orientation))
        except ValueError as error:
            failed += 1
            print(f"keras-tnt: {error}", file=sys.stderr)
            if options.json:
                record = {"path": str(path), kind.found: [], "error": str(error)}
                print(json.dumps(record))
            continue
        files = [out / f"{path.stem}{ending}" for ending in kind.endings]
        record, lines = model.write(image, files, options.top)
        if options.json:
            print(json.dumps({"path": str(path), **record}))
        else:
            print(f"{path}: {files[0]}")
            print(*(f"  {line}\n" for line in lines), sep="", end="")
    return int(bool(failed))


def _check_files(images, endings):
    """Check that no two images are written to one file, on any file system."""
    first: dict[str, tuple] = {}
    for image in images:
        for ending in endings:
            name = f"{image.stem}{ending}"
            content = (ending, os.path.realpath(image))  # an image may be given twice
            # Some file systems tell neither upper from lower case nor accents of
            # two encodings apart.
            key = unicodedata.normalize("NFC", name).casefold()
            other, other_content = first.setdefault(key, (image, content))
            if other_content != content:
                raise ValueError(
                    f"{other} and {image} would both be written to {name}. Rename one "
                    "of them, or predict it in a command of its own, with another "
                    "--out."
                )
