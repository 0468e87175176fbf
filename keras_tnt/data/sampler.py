"""Deterministic sampling: which image comes when, from the seed and the step."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.data.augmentation.mixup_cutmix import mix
from keras_tnt.data.augmentation.rand_augment import keras_cv_layer
from keras_tnt.data.augmentation.transforms import (
    SEEDS,
    evaluation_image,
    random_erasing,
    training_image,
)
from keras_tnt.data.error_handling import next_readable, note_corrupt
from keras_tnt.utils.lazy import tensorflow as tf


def sample_index(
    position: tf.Tensor, epoch: tf.Tensor, size: int, seed: int, repeats: int = 1
) -> tf.Tensor:
    """Return the index of the image at a position of an epoch's list.

    Every epoch has its own random order. With `repeats` of r, an epoch shows a random
    r-th of the images, each of them r times in a row.

    Args:
        position: int64 tensor, from 0.
        epoch: int64 scalar tensor, from 0.
        size: number of images.
        seed: seed of the order, an integer.
        repeats: how often an image is shown, 1 to 3.

    Returns:
        The index of the image, an int64 tensor.
    """
    return tf.random.experimental.index_shuffle(
        position // repeats,
        seed=tf.stack([tf.constant(seed, tf.int64), epoch]),
        max_index=tf.constant(size - 1, tf.int64),
    )


@dataclasses.dataclass(frozen=True)
class Shard:
    """The part of every step that one worker processes.

    The images of a step are divided into groups, which are mixed as a whole. A worker
    whose part ends inside of a group loads all of that group.

    Attributes:
        batch_size: images of a step, on all workers and replicas together.
        steps_per_epoch: number of steps.
        worker: the worker, from 0.
        workers: number of workers.
        replicas: number of replicas of a worker.
        group_size: images of a group; it divides `batch_size`.

    Raises:
        ValueError: if the batch cannot be divided among workers and replicas.
    """

    batch_size: int
    steps_per_epoch: int
    worker: int = 0
    workers: int = 1
    replicas: int = 1
    group_size: int = 1

    def __post_init__(self):
        if not 0 <= self.worker < self.workers:
            raise ValueError(
                f"worker must be from 0 to {self.workers - 1}, got {self.worker}."
            )
        parts = self.workers * self.replicas
        if self.batch_size < 1 or self.batch_size % parts:
            raise ValueError(
                f"batch_size={self.batch_size} cannot be divided among workers="
                f"{self.workers} with replicas={self.replicas} each. Use a multiple "
                f"of {parts}."
            )

    @property
    def of_worker(self) -> int:
        """Images of a step on this worker."""
        return self.batch_size // self.workers

    @property
    def of_replica(self) -> int:
        """Images of a step on one replica."""
        return self.of_worker // self.replicas

    @property
    def loaded(self) -> slice:
        """The images of a step that this worker loads, whole groups."""
        start = self.worker * self.of_worker
        end = start + self.of_worker
        size = self.group_size
        return slice(start // size * size, -(-end // size) * size)

    @property
    def loaded_per_step(self) -> int:
        """Number of images that this worker loads in a step."""
        return self.loaded.stop - self.loaded.start

    @property
    def own(self) -> slice:
        """This worker's images among those that it loads."""
        start = self.worker * self.of_worker - self.loaded.start
        return slice(start, start + self.of_worker)

    @property
    def chunk(self) -> int:
        """Images that are finished together: a replica's, or all that are loaded.

        Those of a replica, if they are whole groups.
        """
        whole = self.of_replica % self.group_size == 0
        return self.of_replica if whole else self.loaded_per_step

    def positions(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the epoch of a step, and the positions of the loaded images in it.

        As in the published training, the list of an epoch is dealt to the groups in
        turn: with n groups, image i of group g is element ``g + n · i`` of the step.
        """
        groups = self.batch_size // self.group_size
        number = tf.range(self.batch_size, dtype=tf.int64)
        group, i = number // self.group_size, number % self.group_size
        first = step % self.steps_per_epoch * self.batch_size
        positions = first + group + groups * i
        return step // self.steps_per_epoch, positions[self.loaded]


@dataclasses.dataclass(frozen=True)
class TrainingSampler:
    """Images in random order, augmented.

    Attributes:
        source: an `ImageSource`; of a subclass, another source.
        shard: this worker's part of every step.
        shape: shape of the images.
        crop_fraction: central share of images that are not cropped at random.
        augmentation: the augmentation.
        seed: seed of everything random.
    """

    source: Any
    shard: Shard
    shape: tuple[int, int, int]
    crop_fraction: float
    augmentation: Augmentation
    seed: int

    def choose(self, step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the indices of a step's images, and the seeds of each."""
        epoch, position = self.shard.positions(step)
        repeats = self.augmentation.repeats
        indices = sample_index(position, epoch, len(self.source), self.seed, repeats)
        return indices, self._seeds(step)[self.shard.loaded]

    def load(self, index: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the index of an image, the image and its label."""
        contents, label = self.source.fetch(index)
        image = training_image(
            contents,
            seeds,
            self.augmentation,
            self.shape,
            self.crop_fraction,
            self._keras_cv_layer,
        )
        return index, image, label

    def replace(self, index: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the same for the next readable image."""
        return next_readable(self.source, index, lambda other: self.load(other, seeds))

    def finish(
        self, step: tf.Tensor, first: tf.Tensor, images: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Mix and erase images of a step, whole groups, with one-hot labels.

        Args:
            step: the step, an int64 tensor.
            first: number of the first image in the batch, an int64 tensor.
            images: float32 (images, height, width, channels).
            labels: float32 (images, classes).
        """
        augmentation = self.augmentation
        if augmentation.mixes:
            images, labels = self._mix(step, first, images, labels)
        if augmentation.random_erasing:
            seeds = self._seeds(step)[first : first + images.shape[0]]
            images = random_erasing(images, seeds, augmentation.random_erasing)
        return images, labels

    def _mix(self, step, first, images, labels):
        size = self.shard.group_size
        number = images.shape[0] // size
        seeds = tf.random.stateless_uniform(
            (self.shard.batch_size // size, 2),
            self._seed(2 * step + 1),
            None,
            None,
            tf.int32,
        )

        def mix_groups():
            groups = zip(
                tf.split(images, number), tf.split(labels, number), strict=True
            )
            mixed = [
                mix(*group, seeds[first // size + index], self.augmentation)
                for index, group in enumerate(groups)
            ]
            return tuple(tf.concat(parts, 0) for parts in zip(*mixed, strict=True))

        off = self.augmentation.mix_off_epoch
        if not off:
            return mix_groups()
        return tf.cond(
            step // self.shard.steps_per_epoch < off,
            mix_groups,
            lambda: (images, labels),
        )

    def _seeds(self, step):
        """The seeds of all images of a step, whatever the number of workers."""
        shape = (self.shard.batch_size, SEEDS, 2)
        return tf.random.stateless_uniform(
            shape, self._seed(2 * step), None, None, tf.int32
        )

    @functools.cached_property
    def _keras_cv_layer(self):
        return keras_cv_layer(self.augmentation)

    def _seed(self, number):
        return tf.stack([tf.constant(self.seed, tf.int64), number])


@dataclasses.dataclass(frozen=True)
class EvaluationSampler:
    """Every image once, in order; black images of weight 0 fill the last batch.

    Attributes:
        source: an `ImageSource`; of a subclass, another source.
        shard: this worker's part of every step.
        shape: shape of the images.
        crop_fraction: central share of an image that is evaluated.
    """

    source: Any
    shard: Shard
    shape: tuple[int, int, int]
    crop_fraction: float

    def choose(self, step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the indices of a step's images; the last ones may not exist."""
        _, position = self.shard.positions(step)
        return (position,)

    def load(self, index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the index of an image, the image, its label and its weight."""

        def exists():
            contents, label = self.source.fetch(index)
            image = evaluation_image(contents, self.shape, self.crop_fraction)
            return index, image, label, tf.constant(1.0)

        return tf.cond(index < len(self.source), exists, lambda: self._nothing(index))

    def replace(self, index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return a black image of weight 0 for a corrupt one."""
        with tf.control_dependencies([note_corrupt(self.source, index[tf.newaxis])]):
            return self._nothing(tf.identity(index))

    def finish(
        self,
        step: tf.Tensor,
        first: tf.Tensor,
        images: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        """Return a batch unchanged."""
        return images, labels, weights

    def _nothing(self, index):
        classes = len(self.source.class_names)
        label = tf.zeros((classes,) if self.source.several_labels else (), tf.int64)
        return index, tf.zeros(self.shape), label, tf.constant(0.0)
