"""The command line: parses, calls the library, prints."""

import argparse
import dataclasses
import json
import logging
import sys
import time
from pathlib import Path

from keras_tnt import __version__

NEXT = """\
Try next:
  keras-tnt predict {run}/pictures --model {run}
  keras-tnt predict PHOTO.jpg        (TNT-S with the published ImageNet weights)
  saved_model_cli show --all --dir {saved_model}"""


def main(arguments=None):
    """Runs a command.

    Args:
        arguments: the command line without the program's name; by default this
            process's own.

    Returns:
        The exit status: 0, or 1 after an error that is the user's to mend.

    Example:
        >>> from keras_tnt.cli import main
        >>> main(["predict", "no_such_picture.jpg"])
        1
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    try:
        return options.command(options) or 0
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print(f"keras-tnt: {error}", file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras-tnt", description="Transformer in Transformer for Keras 3."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo", help="train, evaluate and export a small TNT on embedded pictures"
    )
    demo.add_argument("--out", type=Path, help="a new folder; by default runs/demo")
    demo.add_argument("--epochs", type=int, help="passes over the training pictures")
    demo.add_argument("--seed", type=int, help="of everything random")
    demo.set_defaults(command=_demo)

    predict = commands.add_parser("predict", help="name what pictures show")
    predict.add_argument(
        "pictures", nargs="+", metavar="PICTURE", help="a file, a folder or a glob"
    )
    predict.add_argument(
        "--model",
        default="tnt_small",
        help="the folder of a run, a .keras file, or tnt_small (the default) or "
        "tnt_base with ImageNet weights",
    )
    predict.add_argument("--top", type=int, default=5, help="classes to name (5)")
    predict.add_argument("--json", action="store_true", help="a JSON line a picture")
    predict.set_defaults(command=_predict)
    return parser


def _demo(options):
    from keras_tnt.demo import run_demo
    from keras_tnt.training import fashion_mnist_demo
    from keras_tnt.training.run_folder import RunFolder

    given = {"epochs": options.epochs, "seed": options.seed}
    changes = {name: value for name, value in given.items() if value is not None}
    recipe = dataclasses.replace(fashion_mnist_demo(), **changes)
    if options.out:
        run = RunFolder.create(options.out)
    else:
        run = RunFolder.create_next("runs/demo")
    start = time.monotonic()
    result = run_demo(run, recipe)
    print(
        f"\nTest accuracy {result.accuracy:.2%} on {result.test_pictures} pictures, "
        f"after {time.monotonic() - start:.0f} s.\n"
        "The SavedModel gives the same in a process without Keras (largest difference "
        f"{result.export_difference:.1g}).\n"
    )
    for path, what in run.contents():
        print(f"  {path!s:40} {what}")
    print("\n" + NEXT.format(run=run.path, saved_model=run.saved_model / "1"))


def _predict(options):
    from keras_tnt.predict import find_pictures, load_classifier, predict_files

    if options.top < 1:
        raise ValueError(f"--top must be at least 1, got {options.top}.")
    pictures = find_pictures(options.pictures)
    classifier = load_classifier(options.model)
    for path, classes in predict_files(classifier, pictures, options.top):
        if options.json:
            named = [{"class": name, "score": score} for name, score in classes]
            print(json.dumps({"path": path, "classes": named}))
        else:
            print(path)
            for name, score in classes:
                print(f"  {score:7.2%}  {name}")
