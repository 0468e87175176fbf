"""What the training of a detector has of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_tnt import distribute
from keras_tnt.data import BoxSource, box_dataset, check_boxes, load_box_dataset
from keras_tnt.data.augmentation.mask_transforms import check_dense_augmentation
from keras_tnt.data.box_source import MAX_BOXES
from keras_tnt.distribute.strategy import Strategy
from keras_tnt.evaluation import evaluate_detector
from keras_tnt.tasks import detector
from keras_tnt.training.recipe import Recipe
from keras_tnt.training.segmentation_task import NEEDED_OPTIONS
from keras_tnt.utils.lazy import tensorflow as tf

logger = logging.getLogger(__name__)


class DetectionTask:
    """Images and the boxes of objects; see `keras_tnt.training.task.Task`."""

    metric: str = "ap"
    needed_options: Mapping[str, Any] = NEEDED_OPTIONS

    def load(self, recipe: Recipe, split: str) -> BoxSource:
        """Load a split of the recipe's data."""
        max_boxes = recipe.task_options.get("max_boxes", MAX_BOXES)
        return load_box_dataset(recipe.data, split, recipe.data_dir, max_boxes)

    def add_head(self, recipe: Recipe, model: keras.Model, classes: int) -> keras.Model:
        """Return a detector on the model.

        Raises:
            ValueError: if the recipe's ``task_options`` do not fit.
        """
        options = {k: v for k, v in recipe.task_options.items() if k != "max_boxes"}
        if "levels" in options:
            options["levels"] = tuple(options["levels"])  # a list in JSON
        try:
            return detector(model, classes, **options)
        except TypeError as error:
            raise ValueError(f"task_options do not fit a detector: {error}.") from error

    def compile_options(self, recipe: Recipe, model: keras.Model) -> dict[str, Any]:
        """Return nothing: a detector has its own losses, and no metrics in training."""
        return {}

    def batches(
        self, recipe: Recipe, source: BoxSource, **position: Any
    ) -> tf.data.Dataset:
        """Return batches for training, from a step of the training on."""
        return box_dataset(
            source,
            image_size=recipe.image_size,
            channels=recipe.channels,
            batch_size=recipe.batch_size,
            augmentation=recipe.augmentation,
            seed=recipe.seed,
            skip_corrupt=recipe.skip_corrupt,
            **position,
        )

    def evaluator(
        self,
        recipe: Recipe,
        model: keras.Model,
        source: BoxSource,
        strategy: Strategy,
    ) -> Callable[[list, int], dict[str, float]]:
        """Return a function that returns the average precision of the model."""

        def evaluate(callbacks, verbose):
            report = evaluate_detector(
                model,
                source,
                batch_size=recipe.batch_size,
                skip_corrupt=recipe.skip_corrupt,
                callbacks=callbacks,
            )
            return {"ap": report.ap, "ap50": report.ap50, "ap75": report.ap75}

        return evaluate

    def check(
        self, recipe: Recipe, sources: list[BoxSource], strategy: Strategy
    ) -> None:
        """Read all images and boxes once, and log the objects of each class.

        Raises:
            ValueError: if one of them cannot be used, the augmentation cannot move
                boxes along, or there are several workers.
        """
        if distribute.worker_count(strategy) > 1:
            raise ValueError(
                "A detector is trained by one process, on one or several devices. "
                "Start one worker only."
            )
        check_dense_augmentation(recipe.augmentation, "boxes")
        counts, *_ = [check_boxes(source, recipe.skip_corrupt) for source in sources]
        names = sources[0].class_names
        objects = ", ".join(
            f"{name} {count}" for name, count in zip(names, counts, strict=True)
        )
        logger.info("Objects of the classes: %s.", objects)
