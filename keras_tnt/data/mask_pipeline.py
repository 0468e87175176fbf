"""Batches of images and masks, for training and for evaluation."""

from __future__ import annotations

import functools

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.data.augmentation.mask_transforms import check_dense_augmentation
from keras_tnt.data.dense_pipeline import dense_dataset, encoded_dataset
from keras_tnt.data.mask_sampler import MaskEvaluationSampler, MaskTrainingSampler
from keras_tnt.data.mask_source import MaskSource
from keras_tnt.utils.lazy import tensorflow as tf


def mask_dataset(
    source: MaskSource,
    *,
    batch_size: int,
    image_size: int | tuple[int, int] = 512,
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
    """Return batches of images and masks, for training or for evaluation.

    With an augmentation, the batches are for training: everything random is a function
    of the seed and the step, as in `image_dataset`. Crops and flips move the masks
    along. Without one, every image occurs once, in a fixed order, and images without
    classes fill the last batch.

    Images are resized to one size, whatever their aspect ratio, and masks to the
    nearest neighbour. `keras_tnt.evaluation.evaluate_segmenter` compares predictions
    with masks of their own size.

    Args:
        source: the images and masks, from `load_mask_dataset`.
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
            Faults of masks always raise an error.

    Returns:
        A `tf.data.Dataset` of known cardinality and static shapes, with the elements
        `(images, masks)`: float32 (batch, height, width, channels) with values 0-255,
        and int32 (batch, height, width), the class of each pixel or -1 for none.

    Raises:
        ValueError: for a count that is not a whole number or too low, a batch that is
            larger than the set or cannot be divided, or an augmentation that cannot
            move masks along.
        tf.errors.InvalidArgumentError: when the dataset meets an image that cannot be
            read, or a mask of another size or with other labels; it names the image.

    Example:
        ```python
        source = load_mask_dataset("ADEChallengeData2016", "train")
        augmentation = Augmentation(crop_scale=(0.25, 1.0), flip=0.5)
        train = mask_dataset(source, batch_size=16, augmentation=augmentation)
        images, masks = next(iter(train))
        ```
    """
    if augmentation is not None:
        check_dense_augmentation(augmentation, "masks")

    def finish(step, first, indices, images, masks, *weights):
        return images, masks

    return dense_dataset(
        source,
        MaskTrainingSampler,
        MaskEvaluationSampler,
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


def encoded_mask_dataset(
    source: MaskSource,
    shape: tuple[int, int, int],
    batch_size: int,
    skip_corrupt: bool = False,
) -> tf.data.Dataset:
    """Return batches for an evaluation at the masks' own sizes.

    Args:
        source: the images and masks.
        shape: height, width and channels of the images.
        batch_size: number of images in a step.
        skip_corrupt: as in `mask_dataset`.

    Returns:
        A `tf.data.Dataset` of the elements `(images, masks, weights)`: float32 images
        of that shape, encoded masks, string (batch,), and weights, float32 (batch,):
        0 for images that cannot be decoded or fill the last batch.
    """
    sampler = functools.partial(MaskEvaluationSampler, encoded=True)
    return encoded_dataset(source, sampler, shape, batch_size, skip_corrupt)
