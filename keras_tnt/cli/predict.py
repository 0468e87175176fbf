"""`keras-tnt predict`."""

import argparse
import json
import os
import sys
import unicodedata

import numpy as np

from keras_tnt.cli.options import add_orientation_option, add_precision_option
from keras_tnt.images import load_image
from keras_tnt.inference import (
    find_images,
    is_segmenter,
    load_classifier,
    load_segmenter,
    predict_files,
    predict_mask,
    write_mask,
)
from keras_tnt.utils.files import create_or_next_directory
from keras_tnt.visualization import plot_masks
from keras_tnt.visualization.plot_masks import class_colors


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    predict = commands.add_parser(
        "predict", help="classify images, or draw masks with a segmentation's run"
    )
    predict.add_argument(
        "images", nargs="+", metavar="IMAGE", help="a file, a directory or a glob"
    )
    predict.add_argument(
        "--model",
        default="tnt_small",
        help="a run directory, a .keras file, an exported model of any format, or "
        "tnt_small (the default) or tnt_base with ImageNet weights",
    )
    predict.add_argument(
        "--top", type=int, default=5, help="number of classes to print (5)"
    )
    predict.add_argument(
        "--json", action="store_true", help="print a JSON line for each image"
    )
    predict.add_argument(
        "--out",
        help="a new directory for the masks of a segmentation's run; by default "
        "masks, masks-2, …",
    )
    add_precision_option(predict)
    add_orientation_option(predict)
    predict.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status is 1 if a file could not be read."""
    if options.top < 1:
        raise ValueError(f"--top must be at least 1, got {options.top}.")
    if is_segmenter(options.model):
        return _draw_masks(options)
    images = find_images(options.images)
    classifier = load_classifier(options.model, precision=options.precision)
    failed = []

    def report(path, error):
        failed.append(path)
        print(f"keras-tnt: {error}", file=sys.stderr)
        if options.json:
            print(json.dumps({"path": path, "classes": [], "error": str(error)}))

    upright = not options.ignore_orientation
    for path, classes in predict_files(
        classifier, images, options.top, upright, on_error=report
    ):
        if options.json:
            named = [{"class": name, "score": score} for name, score in classes]
            print(json.dumps({"path": path, "classes": named}))
        else:
            print(path)
            for name, score in classes:
                print(f"  {score:7.2%}  {name}")
    if failed:
        print(
            f"keras-tnt: {len(failed)} of {len(images)} images could not be read.",
            file=sys.stderr,
        )
    return int(bool(failed))


def _draw_masks(options):
    """Write a mask and a plot of each image; the exit status is that of `run`."""
    if options.precision:
        raise ValueError(
            "A segmenter computes in the precision of its training. Leave out "
            f"--precision {options.precision}."
        )
    images = find_images(options.images)
    _check_files(images)
    segmenter = load_segmenter(options.model)
    names = segmenter.class_names
    colors = class_colors(len(names))
    out = create_or_next_directory(options.out, "masks")
    failed = 0
    for path in images:
        try:
            image = np.asarray(load_image(path, not options.ignore_orientation))
        except ValueError as error:
            failed += 1
            print(f"keras-tnt: {error}", file=sys.stderr)
            continue
        mask = predict_mask(segmenter, image)
        written, plot = (out / name for name in _file_names(path))
        write_mask(mask, colors, written)
        plot_masks([image], [mask], names, plot)
        shares = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
        best = np.argsort(-shares, kind="stable")[: options.top]
        if options.json:
            found = [{"class": names[n], "share": float(shares[n])} for n in best]
            print(
                json.dumps({"path": str(path), "mask": str(written), "shares": found})
            )
        else:
            print(f"{path}: {written}")
            for number in best:
                print(f"  {shares[number]:7.2%}  {names[number]}")
    return int(bool(failed))


def _file_names(image):
    """Names of the files of an image's mask and plot."""
    return f"{image.stem}.png", f"{image.stem}_plot.png"


def _check_files(images):
    """Check that no two images are written to one file, on any file system."""
    first = {}
    for image in images:
        for kind, name in zip(("mask", "plot"), _file_names(image), strict=True):
            content = (kind, os.path.realpath(image))  # an image may be given twice
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
