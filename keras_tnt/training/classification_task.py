"""What the training of a classifier has of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_tnt.data import image_dataset, load_dataset
from keras_tnt.data.source import ImageSource
from keras_tnt.distribute.strategy import Strategy
from keras_tnt.evaluation.compiled import CompiledEvaluator
from keras_tnt.training.losses import BinaryCrossentropy
from keras_tnt.training.recipe import Recipe
from keras_tnt.utils.lazy import tensorflow as tf

# What the loss and the pipeline expect of the model.
NEEDED_OPTIONS = {
    "include_top": True,
    "include_preprocessing": True,
    "classifier_activation": "softmax",
}


class ClassificationTask:
    """Images and their classes; see `keras_tnt.training.task.Task`."""

    metric: str = "accuracy"
    needed_options: Mapping[str, Any] = NEEDED_OPTIONS

    def load(self, recipe: Recipe, split: str) -> ImageSource:
        """Load a split of the recipe's data."""
        return load_dataset(recipe.data, split, recipe.data_dir)

    def add_head(self, recipe: Recipe, model: keras.Model, classes: int) -> keras.Model:
        """Return the model, which has a head for the classes."""
        return model

    def compile_options(self, recipe: Recipe, model: keras.Model) -> dict[str, Any]:
        """Return the loss of the recipe and the metrics of the training."""
        classes = model.output_shape[-1]
        metrics = [keras.metrics.CategoricalAccuracy(name="accuracy")]
        if classes > 5:
            top_5 = keras.metrics.TopKCategoricalAccuracy(5, name="top_5_accuracy")
            metrics.append(top_5)
        return {"loss": build_loss(recipe, classes), "weighted_metrics": metrics}

    def batches(
        self, recipe: Recipe, source: ImageSource, **position: Any
    ) -> tf.data.Dataset:
        """Return batches for training, from a step of the training on."""
        return image_dataset(
            source,
            image_size=recipe.image_size,
            channels=recipe.channels,
            batch_size=recipe.batch_size,
            augmentation=recipe.augmentation,
            label_smoothing=recipe.label_smoothing,
            seed=recipe.seed,
            crop_fraction=recipe.crop_fraction,
            skip_corrupt=recipe.skip_corrupt,
            **position,
        )

    def evaluator(
        self,
        recipe: Recipe,
        model: keras.Model,
        source: ImageSource,
        strategy: Strategy,
    ) -> CompiledEvaluator:
        """Return a function that returns loss and metrics of the model on a source."""
        return CompiledEvaluator(
            model,
            source,
            recipe.batch_size,
            recipe.crop_fraction,
            recipe.skip_corrupt,
            strategy,
        )

    def check(
        self, recipe: Recipe, sources: list[ImageSource], strategy: Strategy
    ) -> None:
        """Check nothing: the pipeline names images that cannot be used."""


def build_loss(recipe: Recipe, classes: int) -> keras.losses.Loss:
    """Return the loss of a recipe, for a model that ends in a softmax.

    Args:
        recipe: a `keras_tnt.training.Recipe`.
        classes: number of classes.

    Raises:
        ValueError: if the smoothed labels of all classes are above the threshold.

    Example:
        >>> from keras_tnt.training import fashion_mnist_demo
        >>> from keras_tnt.training.classification_task import build_loss
        >>> build_loss(fashion_mnist_demo(), 10).name
        'categorical_crossentropy'
    """
    if recipe.loss == "categorical_crossentropy":
        return keras.losses.CategoricalCrossentropy()
    threshold, lowest = recipe.target_threshold, recipe.label_smoothing / classes
    if threshold is not None and lowest > 0 and lowest >= threshold:
        raise ValueError(
            f"target_threshold={threshold} would make all {classes} classes of every "
            f"image right, because label_smoothing={recipe.label_smoothing} gives each "
            f"{lowest:.3g}. Use a higher target_threshold, or label_smoothing=0."
        )
    return BinaryCrossentropy(threshold)
