"""The main job, end to end: images, a trained TNT, a SavedModel that runs alone."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_tnt.data import fashion_mnist_mini, fashion_mnist_mini_class_names
from keras_tnt.export import check_saved_model, export_saved_model
from keras_tnt.training import train
from keras_tnt.training.recipe import Recipe
from keras_tnt.training.run_directory import RunDirectory
from keras_tnt.visualization.plot_results import plot_attention, plot_predictions


class Split(NamedTuple):
    """Images, uint8 ``(number, height, width, channels)``, and their classes."""

    images: np.ndarray
    labels: np.ndarray


class DemoResult(NamedTuple):
    """What a demo has measured.

    Attributes:
        accuracy: share of the test images whose class was predicted.
        test_images: number of the test images.
        export_difference: largest difference between a probability of the reloaded
            SavedModel and the model's own.
    """

    accuracy: float
    test_images: int
    export_difference: float


def run_demo(run: RunDirectory, recipe: Recipe) -> DemoResult:
    """Trains, evaluates and exports a small TNT on the embedded images.

    Args:
        run: a new `keras_tnt.training.RunDirectory`, which gets all files.
        recipe: a `keras_tnt.training.Recipe` on the embedded images, such as
            `keras_tnt.training.fashion_mnist_demo`.

    Returns:
        A `DemoResult`.

    Raises:
        ImportError: if a package of the extra ``demo`` is missing.
        RuntimeError: if the SavedModel does not predict what the model does.

    Example:
        ```python
        from keras_tnt.cli.demo_run import run_demo
        from keras_tnt.training import RunDirectory, fashion_mnist_demo

        result = run_demo(RunDirectory.create_next("my_run"), fashion_mnist_demo())
        print(f"{result.accuracy:.1%} of {result.test_images} images")
        ```
    """
    model, _ = train(recipe, run.path)
    class_names = fashion_mnist_mini_class_names()
    test = _read(recipe.validation_split)
    probabilities = model.predict(test.images, batch_size=250, verbose=0)
    saved_model = export_saved_model(
        model, run.saved_model, class_names, crop_fraction=recipe.crop_fraction
    )
    some = test.images[:64].astype("float32")
    with tf.device("/cpu:0"):  # where the other process computes
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
    some = first_of_class[:5]
    plot_attention(model, test.images[some], class_names[:5], run.attention)
