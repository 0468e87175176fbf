"""The main job, end to end: pictures, a trained TNT, a SavedModel that runs alone."""

import sys
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_tnt.data import fashion_mnist_mini, fashion_mnist_mini_class_names
from keras_tnt.export import check_saved_model, export_saved_model
from keras_tnt.models import TNT
from keras_tnt.pictures import (
    draw_attention,
    draw_curves,
    draw_predictions,
    require_matplotlib,
)
from keras_tnt.training import distribution
from keras_tnt.training.optimizer import AdamW, warmup_cosine


class Split(NamedTuple):
    """Pictures, uint8 ``(number, height, width, channels)``, and their classes."""

    images: np.ndarray
    labels: np.ndarray


class DemoResult(NamedTuple):
    """What a demo has measured.

    Attributes:
        accuracy: share of the test pictures whose class was predicted.
        test_pictures: number of the test pictures.
        export_difference: largest difference between a probability of the reloaded
            SavedModel and the model's own.
    """

    accuracy: float
    test_pictures: int
    export_difference: float


def run_demo(run, recipe, train_split="train", test_split="test"):
    """Trains, evaluates and exports a small TNT on the embedded pictures.

    The same recipe on the same machine and versions gives the same result: TensorFlow
    is told to work deterministically, for the rest of the process.

    Args:
        run: a new `keras_tnt.training.run_folder.RunFolder`, which gets all files.
        recipe: a `keras_tnt.training.Recipe`.
        train_split: pictures to train on, as `keras_tnt.data.fashion_mnist_mini` names
            them.
        test_split: pictures to test on.

    Returns:
        A `DemoResult`.

    Raises:
        ImportError: if a package of the extra ``demo`` is missing.
        RuntimeError: if the SavedModel does not predict what the model does.

    Example:
        ```python
        from keras_tnt.demo import run_demo
        from keras_tnt.training import fashion_mnist_demo
        from keras_tnt.training.run_folder import RunFolder

        result = run_demo(RunFolder.create_next("my_run"), fashion_mnist_demo())
        print(f"{result.accuracy:.1%} of {result.test_pictures} pictures")
        ```
    """
    require_matplotlib()
    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    class_names = fashion_mnist_mini_class_names()
    run.write_recipe(recipe, class_names)
    train, test = (_read(split) for split in (train_split, test_split))

    model = _train(run, recipe, train, test)
    model.save(run.model)
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


def _train(run, recipe, train, test):
    """Trains with `model.fit` under the strategy for this machine."""
    strategy = distribution.strategy()
    with strategy.scope():
        model = TNT(**recipe.model)
        steps = len(train.labels) // recipe.batch_size
        learning_rate = warmup_cosine(
            recipe.learning_rate,
            recipe.final_learning_rate,
            recipe.warmup_epochs * steps,
            recipe.epochs * steps,
        )
        model.compile(
            AdamW(learning_rate, weight_decay=recipe.weight_decay),
            keras.losses.CategoricalCrossentropy(
                label_smoothing=recipe.label_smoothing
            ),
            metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        )
    model.fit(
        _dataset(train, recipe, augment=True),
        epochs=recipe.epochs,
        validation_data=_dataset(test, recipe, augment=False),
        callbacks=[keras.callbacks.CSVLogger(run.history)],
        shuffle=False,  # the dataset does it
        # A progress bar for a person, a line an epoch for a log.
        verbose=1 if sys.stdout.isatty() else 2,
    )
    return model


def _dataset(split, recipe, augment):
    """Batches of pictures and one-hot labels; for training shuffled and mirrored."""
    classes = recipe.model["classes"]
    dataset = tf.data.Dataset.from_tensor_slices(split)
    if augment:
        seeds = tf.data.Dataset.random(recipe.seed, rerandomize_each_iteration=True)
        dataset = dataset.shuffle(len(split.labels), recipe.seed)
        dataset = tf.data.Dataset.zip(dataset, seeds.batch(2)).map(_mirror)
    dataset = dataset.batch(recipe.batch_size, drop_remainder=augment)
    return dataset.map(
        lambda batch: (batch.images, tf.one_hot(batch.labels, classes))
    ).prefetch(tf.data.AUTOTUNE)


def _mirror(element, seed):
    image = tf.image.stateless_random_flip_left_right(element.images, seed)
    return element._replace(images=image)


def _draw(run, model, test, probabilities, class_names):
    draw_curves(run.history, run.curves)
    shown = slice(0, 40)
    draw_predictions(
        test.images[shown],
        test.labels[shown],
        probabilities[shown],
        class_names,
        run.predictions,
    )
    first_of_class = [int(np.argmax(test.labels == label)) for label in range(10)]
    run.pictures.mkdir()
    for image, name in zip(test.images[first_of_class], class_names, strict=True):
        file_name = name.lower().replace(" ", "_").replace("/", "_")
        picture = run.pictures / f"{file_name}.png"
        picture.write_bytes(tf.io.encode_png(image).numpy())
    some = first_of_class[:5]
    draw_attention(model, test.images[some], class_names[:5], run.attention)
