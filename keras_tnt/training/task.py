"""The tasks that a recipe can name, and what the trainer asks of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras

from keras_tnt.distribute.strategy import Strategy
from keras_tnt.training.classification_task import ClassificationTask
from keras_tnt.training.detection_task import DetectionTask
from keras_tnt.training.recipe import Recipe
from keras_tnt.training.segmentation_task import SegmentationTask
from keras_tnt.utils.lazy import tensorflow as tf


class Task(Protocol):
    """What the trainer asks of a task; all else is the same for all of them.

    Attributes:
        metric: the metric of the evaluation by which the best epoch is chosen.
        needed_options: arguments of the builder that the task needs, by name.
    """

    metric: str
    needed_options: Mapping[str, Any]

    def load(self, recipe: Recipe, split: str) -> Any:
        """Load a split of the recipe's data, a source of `keras_tnt.data`."""

    def check(self, recipe: Recipe, sources: list[Any], strategy: Strategy) -> None:
        """Check what a new training needs of the data, before the first step.

        Raises:
            ValueError: if something does not fit.
        """

    def add_head(self, recipe: Recipe, model: keras.Model, classes: int) -> keras.Model:
        """Return the model to train, from what the builder returned."""

    def compile_options(self, recipe: Recipe, model: keras.Model) -> dict[str, Any]:
        """Return losses and metrics of the training, arguments of `compile`."""

    def batches(self, recipe: Recipe, source: Any, **position: Any) -> tf.data.Dataset:
        """Return batches for training.

        Args:
            recipe: the recipe.
            source: the images.
            **position: ``epochs``, ``first_step``, ``worker``, ``workers`` and
                ``replicas``, as in `keras_tnt.data.image_dataset`.
        """

    def evaluator(
        self, recipe: Recipe, model: keras.Model, source: Any, strategy: Strategy
    ) -> Callable[[list, int], dict[str, float]]:
        """Return a function that returns loss and metrics of the model on a source.

        Its arguments are Keras callbacks and ``verbose``, as for Keras's `evaluate`.
        """


TASKS: dict[str, Task] = {
    "classification": ClassificationTask(),
    "detection": DetectionTask(),
    "segmentation": SegmentationTask(),
}


def task_of(recipe: Recipe) -> Task:
    """Return the task of a recipe.

    Example:
        >>> from keras_tnt.training import fashion_mnist_demo
        >>> from keras_tnt.training.task import task_of
        >>> task_of(fashion_mnist_demo()).metric
        'accuracy'
    """
    return TASKS[recipe.task]
