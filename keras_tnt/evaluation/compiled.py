"""How well a model names images."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_tnt import distribute
from keras_tnt.compat.keras_training import loss_per_image
from keras_tnt.data import image_dataset
from keras_tnt.data.source import ImageSource


def evaluate(
    model: keras.Model,
    source: ImageSource,
    batch_size: int = 128,
    crop_fraction: float = 0.9,
    skip_corrupt: bool = False,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> dict[str, float]:
    """Evaluates a compiled model on every image of a source, once.

    Args:
        model: a `keras.Model` compiled with `weighted_metrics`, as
            `keras_tnt.training.compile_model` does.
        source: what `keras_tnt.data.load_dataset` returns.
        batch_size: images a step, on all devices together.
        crop_fraction: central share of an image that is evaluated.
        skip_corrupt: whether to leave out images that cannot be decoded.
        strategy: the `tf.distribute.Strategy` of the model; the current one if
            ``None``.
        callbacks: Keras callbacks.
        verbose: 0 for silence, 1 for a progress bar, 2 for a line.

    Returns:
        A dict of figures: `loss` and the metrics, means over the images.

    Example:
        ```python
        from keras_tnt.data import load_dataset
        from keras_tnt.training import evaluate

        figures = evaluate(model, load_dataset("fashion_mnist_mini", "test"))
        print(figures["accuracy"])
        ```
    """
    strategy = strategy or tf.distribute.get_strategy()
    _, height, width, channels = model.input_shape
    steps = math.ceil(len(source) / batch_size)
    dataset = distribute.distribute_dataset(
        strategy,
        lambda worker, workers, replicas: image_dataset(
            source,
            image_size=(height, width),
            channels=channels,
            batch_size=batch_size,
            crop_fraction=crop_fraction,
            worker=worker,
            workers=workers,
            replicas=replicas,
            skip_corrupt=skip_corrupt,
        ),
    )
    figures = model.evaluate(
        dataset, steps=steps, callbacks=callbacks, verbose=verbose, return_dict=True
    )
    # Each worker knows the corrupt images of its own shard only.
    images = len(source) - distribute.total(strategy, len(source.broken))
    figures["loss"] = loss_per_image(figures["loss"], steps, batch_size, images)
    return figures
