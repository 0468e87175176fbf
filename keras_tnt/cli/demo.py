"""`keras-tnt demo`: from bundled images to a trained TNT and a SavedModel."""

import argparse
import dataclasses
import time
from typing import NamedTuple

import numpy as np

from keras_tnt.data import fashion_mnist_mini, fashion_mnist_mini_class_names
from keras_tnt.export import check_saved_model, export_saved_model
from keras_tnt.training import Recipe, RunDirectory, fashion_mnist_demo, train
from keras_tnt.utils.files import create_or_next_directory
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.visualization.figure import require_matplotlib
from keras_tnt.visualization.plot_results import (
    plot_attention,
    plot_predictions,
    plot_training_curves,
)

EXPLAINED = (1, 3, 9)  # trousers, a dress and a boot
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
    demo.add_argument("--out", help="a new directory; by default runs/demo")
    demo.add_argument("--epochs", type=int, help="passes over the training images")
    demo.add_argument("--seed", type=int, help="seed of everything random")
    demo.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    given = {"epochs": options.epochs, "seed": options.seed}
    changes = {name: value for name, value in given.items() if value is not None}
    recipe = dataclasses.replace(fashion_mnist_demo(), **changes)
    require_matplotlib()
    fashion_mnist_mini_class_names()  # raises without the images
    run = RunDirectory(create_or_next_directory(options.out, "runs/demo"))
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


class Split(NamedTuple):
    """Images, uint8 ``(number, height, width, channels)``, and their labels."""

    images: np.ndarray
    labels: np.ndarray


class DemoResult(NamedTuple):
    """The result of a demo.

    Attributes:
        accuracy: accuracy on the test images, 0 to 1.
        test_images: number of test images.
        export_difference: largest difference between the probabilities of the
            reloaded SavedModel and of the model.
    """

    accuracy: float
    test_images: int
    export_difference: float


def run_demo(run: RunDirectory, recipe: Recipe) -> DemoResult:
    """Train, evaluate and export a small TNT on the bundled images.

    Args:
        run: a new `keras_tnt.training.RunDirectory` for all files.
        recipe: a `keras_tnt.training.Recipe` on the bundled images, such as
            `keras_tnt.training.fashion_mnist_demo`.

    Returns:
        A `DemoResult`.

    Raises:
        ImportError: if a package of the extra ``demo``, or the one of the images, is
            missing.
        RuntimeError: if the SavedModel does not predict what the model predicts.
    """
    model, _ = train(recipe, run.path)
    plot_training_curves(run.history, run.curves)
    class_names = fashion_mnist_mini_class_names()
    test = _read(recipe.validation_split)
    probabilities = model.predict(test.images, batch_size=250, verbose=0)
    saved_model = export_saved_model(
        model, run.saved_model, class_names, crop_fraction=recipe.crop_fraction
    )
    some = test.images[:64].astype("float32")
    with tf.device("/cpu:0"):  # as in the other process
        expected = model(some, training=False).numpy()
    difference = check_saved_model(saved_model, some, expected)
    _draw(run, model, test, probabilities, class_names)
    right = probabilities.argmax(axis=1) == test.labels
    return DemoResult(float(right.mean()), len(right), difference)


def _read(split):
    images, labels = zip(*fashion_mnist_mini(split).as_numpy_iterator(), strict=True)
    return Split(np.stack(images), np.array(labels))


def _draw(run, model, test, probabilities, class_names):
    shown = slice(0, 40)
    plot_predictions(
        test.images[shown],
        test.labels[shown],
        probabilities[shown],
        class_names,
        run.predictions,
    )
    first_of_class = [int(np.argmax(test.labels == label)) for label in range(10)]
    run.images.mkdir()
    for image, name in zip(test.images[first_of_class], class_names, strict=True):
        file_name = name.lower().replace(" ", "_").replace("/", "_")
        path = run.images / f"{file_name}.png"
        path.write_bytes(tf.io.encode_png(image).numpy())
    some = [first_of_class[label] for label in EXPLAINED]
    names = [class_names[label] for label in EXPLAINED]
    plot_attention(model, test.images[some], names, run.attention)
