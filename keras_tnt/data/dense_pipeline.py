"""What the batches of images with masks and with boxes have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.data.pipeline import check_batch_size, image_shape, make_batches
from keras_tnt.data.sampler import Shard
from keras_tnt.utils.counts import check_count
from keras_tnt.utils.lazy import tensorflow as tf


def dense_dataset(
    source: Any,
    training_sampler: Callable,
    evaluation_sampler: Callable,
    finish: Callable,
    *,
    batch_size: int,
    image_size: int | tuple[int, int],
    channels: int,
    augmentation: Augmentation | None,
    seed: int,
    epochs: int,
    first_step: int,
    skip_corrupt: bool,
    **division: int,
) -> tf.data.Dataset:
    """Return batches for training, or for evaluation without an augmentation.

    Args:
        source: the images and their targets.
        training_sampler: class of the sampler for training.
        evaluation_sampler: class of the sampler for evaluation.
        finish: as in `make_batches`.
        batch_size: as in `keras_tnt.data.mask_dataset`, like all others.
        image_size: size of the images.
        channels: channels of the images.
        augmentation: the augmentation, checked, or ``None``.
        seed: seed of everything random.
        epochs: number of passes.
        first_step: number of steps to skip.
        skip_corrupt: whether to skip images that cannot be decoded.
        **division: ``worker``, ``workers`` and ``replicas``.
    """
    batch_size = check_count("batch_size", batch_size)
    epochs = check_count("epochs", epochs)
    first_step = check_count("first_step", first_step, 0)
    shape = image_shape(image_size, channels)
    if augmentation is None:
        steps_per_epoch = -(-len(source) // batch_size)
    else:
        check_batch_size(batch_size, source)
        steps_per_epoch = len(source) // batch_size
    shard = Shard(batch_size, steps_per_epoch, **division)
    if augmentation is None:
        sampler = evaluation_sampler(source, shard, shape, 1.0)
    else:
        sampler = training_sampler(source, shard, shape, 1.0, augmentation, seed)
    steps = range(first_step, epochs * steps_per_epoch)
    return make_batches(sampler, steps, finish, skip_corrupt)


def encoded_dataset(
    source: Any,
    evaluation_sampler: Callable,
    shape: tuple[int, int, int],
    batch_size: int,
    skip_corrupt: bool,
) -> tf.data.Dataset:
    """Return batches of what a sampler loads, without the indices.

    Args:
        source: the images and their targets.
        evaluation_sampler: function like the class of a sampler for evaluation.
        shape: height, width and channels of the images.
        batch_size: number of images in a step.
        skip_corrupt: whether to skip images that cannot be decoded.
    """
    steps = -(-len(source) // batch_size)
    sampler = evaluation_sampler(source, Shard(batch_size, steps), shape, 1.0)

    def finish(step, first, indices, *batch):
        return batch

    return make_batches(sampler, range(steps), finish, skip_corrupt)
