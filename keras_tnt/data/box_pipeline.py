"""Batches of images and boxes, for training and for evaluation."""

from __future__ import annotations

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.data.augmentation.mask_transforms import check_dense_augmentation
from keras_tnt.data.box_sampler import (
    BoxEvaluationSampler,
    BoxTrainingSampler,
    EncodedBoxSampler,
)
from keras_tnt.data.box_source import BoxSource
from keras_tnt.data.dense_pipeline import dense_dataset, encoded_dataset
from keras_tnt.utils.lazy import tensorflow as tf


def box_dataset(
    source: BoxSource,
    *,
    batch_size: int,
    image_size: int | tuple[int, int] = 640,
    channels: int = 3,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    epochs: int = 1,
    first_step: int = 0,
    worker: int = 0,
    workers: int = 1,
    replicas: int = 1,
    skip_corrupt: bool = False,
) -> tf.data.Dataset:
    """Return batches of images and boxes, for training or for evaluation.

    With an augmentation, the batches are for training: everything random is a function
    of the seed and the step, as in `image_dataset`. Crops and flips move the boxes
    along. A crop keeps an object if the center of its box is inside. Without an
    augmentation, every image occurs once, in a fixed order, and images without objects
    fill the last batch.

    Images are resized to one size, whatever their aspect ratio. Crowds are left out.
    `keras_tnt.evaluation.evaluate_detector` compares detections with boxes at the
    images' own sizes, crowds included.

    Args:
        source: the images and boxes, from `load_box_dataset`.
        batch_size: number of images in a step, on all workers and replicas together.
        image_size: size of the images, a number or a pair (height, width).
        channels: 1 for gray, 3 for color; images of the other kind are converted.
        augmentation: an `Augmentation` of crops, flips, 3-Augment and color jitter for
            training; `None` for evaluation.
        seed: seed of everything random.
        epochs: number of passes.
        first_step: number of steps to skip, which costs no time.
        worker: this worker, from 0.
        workers: number of workers, each with its own dataset.
        replicas: number of replicas of a worker.
        skip_corrupt: skip images that cannot be read or decoded, as in `image_dataset`.
            Faults of annotations always raise an error.

    Returns:
        A `tf.data.Dataset` of known cardinality and static shapes, with the elements
        `(images, {"boxes": boxes, "labels": labels})`: float32 (batch, height, width,
        channels) with values 0-255; float32 (batch, source.max_boxes, 4), left, top,
        right and bottom in pixels; and int32 (batch, source.max_boxes), -1 for the
        boxes of zeros after the last object.

    Raises:
        ValueError: for a count that is not a whole number or too low, a batch that is
            larger than the set or cannot be divided, or an augmentation that cannot
            move boxes along.
        tf.errors.InvalidArgumentError: when the dataset meets an image that cannot be
            read, too many objects, a box outside of its image, or a class
            that does not exist; it names the image.

    Example:
        ```python
        source = load_box_dataset("coco2017", "train")
        augmentation = Augmentation(crop_scale=(0.3, 1.0), flip=0.5)
        train = box_dataset(source, batch_size=16, augmentation=augmentation)
        images, objects = next(iter(train))
        ```
    """
    if augmentation is not None:
        check_dense_augmentation(augmentation, "boxes")

    def finish(step, first, indices, images, boxes, labels, *weights):
        return images, {"boxes": boxes, "labels": labels}

    return dense_dataset(
        source,
        BoxTrainingSampler,
        BoxEvaluationSampler,
        finish,
        batch_size=batch_size,
        image_size=image_size,
        channels=channels,
        augmentation=augmentation,
        seed=seed,
        epochs=epochs,
        first_step=first_step,
        worker=worker,
        workers=workers,
        replicas=replicas,
        skip_corrupt=skip_corrupt,
    )


def encoded_box_dataset(
    source: BoxSource,
    shape: tuple[int, int, int],
    batch_size: int,
    skip_corrupt: bool = False,
) -> tf.data.Dataset:
    """Return batches for an evaluation at the images' own sizes.

    Args:
        source: the images and boxes.
        shape: height, width and channels of the images.
        batch_size: number of images in a step.
        skip_corrupt: as in `box_dataset`.

    Returns:
        A `tf.data.Dataset` of the elements `(images, sizes, objects, weights)`: float32
        images of that shape; their heights and widths before, int32 (batch, 2); encoded
        objects, string (batch,); and weights, float32 (batch,): 0 for images that
        cannot be decoded or fill the last batch.
    """
    return encoded_dataset(source, EncodedBoxSampler, shape, batch_size, skip_corrupt)
