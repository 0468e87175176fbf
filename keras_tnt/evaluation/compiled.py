"""Evaluation of compiled models with their own metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

from keras_tnt import distribute
from keras_tnt.compat.keras_training import loss_per_image
from keras_tnt.data.source import ImageSource, check_single_label
from keras_tnt.distribute.strategy import Strategy
from keras_tnt.evaluation.batches import check_any_image, evaluation_batches
from keras_tnt.utils.counts import check_count


def evaluate(
    model: keras.Model,
    source: ImageSource,
    batch_size: int = 128,
    crop_fraction: float = 0.9,
    skip_corrupt: bool = False,
    strategy: Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> dict[str, float]:
    """Evaluate a compiled model on every image of a source, once.

    Args:
        model: a `keras.Model` compiled with `weighted_metrics`, as by
            `keras_tnt.training.builders.compile_model`.
        source: the images, from `keras_tnt.data.load_dataset`.
        batch_size: images a step, on all devices together.
        crop_fraction: central share of an image that is evaluated.
        skip_corrupt: whether to skip images that cannot be decoded.
        strategy: the `tf.distribute.Strategy` of the model, on JAX its
            `keras.distribution.DataParallel` or `ModelParallel`; the current one if
            ``None``.
        callbacks: Keras callbacks.
        verbose: 0 for silence, 1 for a progress bar, 2 for a line.

    Returns:
        A dict of `loss` and the metrics, means over the images.

    Raises:
        ValueError: if an image can have several right answers, ``batch_size`` is not a
            whole number of at least 1, or no image can be decoded.

    Example:
        ```python
        from keras_tnt.data import load_dataset
        from keras_tnt.evaluation import evaluate

        metrics = evaluate(model, load_dataset("fashion_mnist_mini", "test"))
        print(metrics["accuracy"])
        ```
    """
    evaluator = CompiledEvaluator(
        model, source, batch_size, crop_fraction, skip_corrupt, strategy
    )
    return evaluator(callbacks, verbose)


class CompiledEvaluator:
    """Evaluates a compiled model on a source, any number of times.

    The pipeline is built once. The arguments are those of `evaluate`, in two parts.
    """

    def __init__(
        self,
        model: keras.Model,
        source: ImageSource,
        batch_size: int,
        crop_fraction: float,
        skip_corrupt: bool,
        strategy: Strategy | None,
    ):
        check_single_label(source)
        self.model, self.source = model, source
        self.batch_size = check_count("batch_size", batch_size)
        self.strategy = strategy or distribute.current_strategy()
        self.dataset = distribute.distribute_dataset(
            self.strategy,
            lambda worker, workers, replicas: evaluation_batches(
                model,
                source,
                self.batch_size,
                crop_fraction,
                skip_corrupt=skip_corrupt,
                worker=worker,
                workers=workers,
                replicas=replicas,
            ),
        )

    def __call__(
        self, callbacks: Sequence[keras.callbacks.Callback] = (), verbose: int = 0
    ) -> dict[str, float]:
        steps = math.ceil(len(self.source) / self.batch_size)
        with distribute.distribution_scope(self.strategy):
            metrics = self.model.evaluate(
                self.dataset,
                steps=steps,
                callbacks=callbacks,
                verbose=verbose,
                return_dict=True,
            )
        # Each worker knows the corrupt images of its own shard only.
        corrupt = distribute.total(self.strategy, len(self.source.corrupt))
        images = len(self.source) - corrupt
        check_any_image(images, self.source)
        metrics["loss"] = loss_per_image(
            metrics["loss"], steps, self.batch_size, images
        )
        return metrics
