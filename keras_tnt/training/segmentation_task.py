"""What the training of a segmenter has of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_tnt import distribute
from keras_tnt.data import MaskSource, check_masks, load_mask_dataset, mask_dataset
from keras_tnt.data.augmentation.mask_transforms import check_dense_augmentation
from keras_tnt.data.mask_source import IGNORED
from keras_tnt.distribute.strategy import Strategy
from keras_tnt.evaluation import evaluate_segmenter
from keras_tnt.tasks import segmenter
from keras_tnt.training.mask_loss import MaskCrossentropy
from keras_tnt.training.recipe import Recipe
from keras_tnt.utils.lazy import tensorflow as tf

logger = logging.getLogger(__name__)

# The head takes maps of the blocks, not what the model returns.
NEEDED_OPTIONS = {"include_top": False, "include_preprocessing": True}


class SegmentationTask:
    """Images and the class of every pixel; see `keras_tnt.training.task.Task`."""

    metric: str = "mean_iou"
    needed_options: Mapping[str, Any] = NEEDED_OPTIONS

    def load(self, recipe: Recipe, split: str) -> MaskSource:
        """Load a split of the recipe's data."""
        return load_mask_dataset(recipe.data, split, recipe.data_dir)

    def add_head(self, recipe: Recipe, model: keras.Model, classes: int) -> keras.Model:
        """Return a segmenter on the model.

        Raises:
            ValueError: if the recipe's ``task_options`` do not fit.
        """
        try:
            return segmenter(model, classes, **recipe.task_options)
        except TypeError as error:
            raise ValueError(
                f"task_options do not fit a segmenter: {error}."
            ) from error

    def compile_options(self, recipe: Recipe, model: keras.Model) -> dict[str, Any]:
        """Return the loss of the recipe and the metrics of the training."""
        classes, weights = model.output_shape[-1], recipe.class_weights
        if weights is not None and len(weights) != classes:
            raise ValueError(
                f"Expected a weight for each of the {classes} classes, got "
                f"class_weights={weights}."
            )
        mean_iou = keras.metrics.MeanIoU(
            classes, ignore_class=IGNORED, sparse_y_pred=False, name="mean_iou"
        )
        loss = MaskCrossentropy(weights, recipe.label_smoothing)
        return {"loss": loss, "weighted_metrics": [mean_iou]}

    def batches(
        self, recipe: Recipe, source: MaskSource, **position: Any
    ) -> tf.data.Dataset:
        """Return batches for training, from a step of the training on."""
        return mask_dataset(
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
        source: MaskSource,
        strategy: Strategy,
    ) -> Callable[[list, int], dict[str, float]]:
        """Return a function that returns loss and metrics of the model."""

        def evaluate(callbacks, verbose):
            report = evaluate_segmenter(
                model,
                source,
                batch_size=recipe.batch_size,
                skip_corrupt=recipe.skip_corrupt,
                callbacks=callbacks,
            )
            return {
                "loss": report.loss,
                "mean_iou": report.mean_iou,
                "pixel_accuracy": report.accuracy,
            }

        return evaluate

    def check(
        self, recipe: Recipe, sources: list[MaskSource], strategy: Strategy
    ) -> None:
        """Read all images and masks once, and log the share of each class.

        Raises:
            ValueError: if one of them cannot be used, the augmentation cannot move
                masks along, or there are several workers.
        """
        if distribute.worker_count(strategy) > 1:
            raise ValueError(
                "A segmenter is trained by one process, on one or several devices. "
                "Start one worker only."
            )
        check_dense_augmentation(recipe.augmentation, "masks")
        pixels, *_ = [check_masks(source, recipe.skip_corrupt) for source in sources]
        names = sources[0].class_names
        shares = ", ".join(
            f"{name} {count / pixels.sum():.2%}"
            for name, count in zip(names, pixels, strict=True)
        )
        logger.info("Shares of the classes: %s.", shares)
