"""Evaluation of segmenters at the original size of the masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_tnt.data.error_handling import readable_errors
from keras_tnt.data.mask_decoding import mask_labels
from keras_tnt.data.mask_pipeline import encoded_mask_dataset
from keras_tnt.data.mask_source import MaskSource
from keras_tnt.evaluation.batches import check_finite_outputs
from keras_tnt.evaluation.mask_report import MaskReport
from keras_tnt.structure.architecture import image_shape
from keras_tnt.utils.counts import check_count, check_size
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.lazy import tf_function


def evaluate_segmenter(
    model: keras.Model,
    source: MaskSource,
    batch_size: int = 8,
    image_size: int | tuple[int, int] | None = None,
    skip_corrupt: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> MaskReport:
    """Compare the predictions of a segmenter with masks of their original size.

    An image is resized to the model's size, whatever its aspect ratio. The logits are
    resized to the size of its mask, bilinear, and the class of each pixel is the one of
    the highest logit.

    Args:
        model: a model from images 0-255 to logits ``(batch, height, width, classes)``,
            such as `keras_tnt.tasks.segmenter` builds.
        source: the images and masks, from `keras_tnt.data.load_mask_dataset`.
        batch_size: images a step.
        image_size: size of the images, for a model on images of any size; the native
            image size of its TNT by default.
        skip_corrupt: whether to leave out images that cannot be decoded.
        callbacks: Keras callbacks, of which ``on_test_batch_end`` is called.

    Returns:
        A `MaskReport`.

    Raises:
        ValueError: if the model has another number of classes, or takes images of
            another size only; if an image or mask cannot be used, which it names; or if
            no pixel has a class.

    Example:
        ```python
        from keras_tnt.data import load_mask_dataset
        from keras_tnt.evaluation import evaluate_segmenter

        source = load_mask_dataset("ADEChallengeData2016", "validation")
        print(evaluate_segmenter(model, source).mean_iou)
        ```
    """
    classes = len(source.class_names)
    if len(model.output_shape) != 4 or model.output_shape[-1] != classes:
        raise ValueError(
            f"{source.name!r} has {classes} classes, expected a model with logits "
            f"(batch, height, width, {classes}), got {model.output_shape}."
        )
    batch_size = check_count("batch_size", batch_size)
    shape = _input_shape(model, image_size)
    confusion = np.zeros((classes, classes), "int64")
    loss, images = 0.0, 0
    dataset = encoded_mask_dataset(source, shape, batch_size, skip_corrupt)
    with readable_errors():
        for step, (batch, masks, weights) in enumerate(dataset):
            all_logits = predict_batch(model, batch.numpy())
            for place in np.flatnonzero(weights):
                truth = source.to_classes(mask_labels(masks[place].numpy()))
                predicted, losses = _compare(all_logits[place], truth)
                valid = truth >= 0
                pairs = truth[valid] * classes + predicted.numpy()[valid]
                counts = np.bincount(pairs, minlength=classes**2)
                confusion += counts.reshape(classes, classes)
                loss += float(losses)
                images += 1
            for callback in callbacks:
                callback.on_test_batch_end(step)
    pixels = confusion.sum()
    if not pixels:
        raise ValueError(
            f"No pixel of {source.name!r} has a class, or no image can be decoded: "
            "there is nothing to evaluate."
        )
    check_finite_outputs(loss)
    return MaskReport(
        source.class_names, confusion, loss / pixels, images, len(source.corrupt)
    )


def _input_shape(model, wanted):
    """Height, width and channels of the images."""
    if wanted is None:
        return image_shape(model)
    *size, channels = model.input_shape[1:]
    chosen = check_size("image_size", wanted)
    if None not in size and chosen != tuple(size):
        raise ValueError(
            f"The model takes images of size {tuple(size)} only, got image_size="
            f"{wanted}. Leave it out."
        )
    return (*chosen, channels)


def predict_batch(model: keras.Model, images: np.ndarray) -> Any:
    """Return what a model predicts for a batch, on one or all of its devices."""
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is None or strategy.num_replicas_in_sync == 1:
        return model.predict_on_batch(images)
    return model.predict(images, batch_size=len(images), verbose=0)


@tf_function(
    lambda: [
        tf.TensorSpec((None, None, None), tf.float32),
        tf.TensorSpec((None, None), tf.int32),
    ],
    autograph=False,
)
def _compare(logits, truth):
    """The predicted classes at the size of the truth, and the sum of the losses."""
    resized = tf.image.resize(logits, tf.shape(truth), "bilinear")
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.maximum(truth, 0), resized
    )
    counted = tf.where(truth >= 0, losses, 0.0)
    return tf.argmax(resized, -1, tf.int32), tf.reduce_sum(counted)
