"""`keras-tnt demo`."""

import argparse
import dataclasses
import time
from pathlib import Path

NEXT_STEPS = """\
Try next:
  keras-tnt predict {run}/images --model {run}
  keras-tnt predict PHOTO.jpg        (TNT-S with the published ImageNet weights)
  saved_model_cli show --all --dir {saved_model}"""


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    demo = commands.add_parser(
        "demo", help="train, evaluate and export a small TNT on the bundled images"
    )
    demo.add_argument("--out", type=Path, help="a new directory; by default runs/demo")
    demo.add_argument("--epochs", type=int, help="passes over the training images")
    demo.add_argument("--seed", type=int, help="seed of everything random")
    demo.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from keras_tnt.cli.demo_run import run_demo
    from keras_tnt.training import RunDirectory, fashion_mnist_demo

    given = {"epochs": options.epochs, "seed": options.seed}
    changes = {name: value for name, value in given.items() if value is not None}
    recipe = dataclasses.replace(fashion_mnist_demo(), **changes)
    run = RunDirectory.create_or_next(options.out, "runs/demo")
    start = time.monotonic()
    result = run_demo(run, recipe)
    print(
        f"\nTest accuracy {result.accuracy:.2%} on {result.test_images} images, "
        f"after {time.monotonic() - start:.0f} s.\n"
        "The SavedModel predicts the same in a process without Keras (difference "
        f"{result.export_difference:.1g}).\n"
    )
    for path, what in run.contents():
        print(f"  {path!s:40} {what}")
    print("\n" + NEXT_STEPS.format(run=run.path, saved_model=run.saved_model / "1"))
