"""`keras-tnt predict`."""

import argparse
import json
import sys

from keras_tnt.cli.options import add_orientation_option, add_precision_option
from keras_tnt.cli.predict_dense import KINDS, predict_dense
from keras_tnt.inference import find_images, load_classifier, predict_files, run_task


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    predict = commands.add_parser(
        "predict",
        help="classify images, or draw masks or boxes with a run of such a task",
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
        "--top", type=int, default=5, help="number of classes or objects (5)"
    )
    predict.add_argument(
        "--json", action="store_true", help="print a JSON line for each image"
    )
    predict.add_argument(
        "--out",
        help="a new directory for the plots of a segmentation's or detection's run; by "
        "default masks or boxes, masks-2, …",
    )
    add_precision_option(predict)
    add_orientation_option(predict)
    predict.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status is 1 if a file could not be read."""
    if options.top < 1:
        raise ValueError(f"--top must be at least 1, got {options.top}.")
    task = run_task(options.model)
    if task in KINDS:
        return predict_dense(options, task)
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
