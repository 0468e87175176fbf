"""Deterministic sampling: which image comes when, from the seed and the step."""

import dataclasses
import functools

import tensorflow as tf

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.data.augmentation.mixup_cutmix import mix
from keras_tnt.data.augmentation.rand_augment import keras_cv_layer
from keras_tnt.data.augmentation.transforms import (
    SEEDS,
    evaluation_image,
    training_image,
)
from keras_tnt.data.error_handling import next_readable, note_corrupt
from keras_tnt.data.source import ImageSource

# The order of four images, each shown three times. MixUp and CutMix mix neighbours in
# pairs, and no pair occurs twice (as in a round-robin tournament of four).
REPEAT_ORDER = (0, 1, 2, 3, 1, 2, 3, 0, 0, 2, 1, 3)
IMAGES_PER_REPEAT_CYCLE = 4


def sample_index(
    position: tf.Tensor, epoch: tf.Tensor, size: int, seed: int, repeats: int = 1
) -> tf.Tensor:
    """Return the index of the image at a position of an epoch.

    Every epoch has its own random order. With `repeats` of r, an epoch shows a random
    r-th of the images r times each, at close positions.

    Args:
        position: int64 tensor, from 0.
        epoch: int64 scalar tensor, from 0.
        size: number of images.
        seed: seed of the order, an integer.
        repeats: how often an image is shown, 1 to 3.

    Returns:
        The index of the image, an int64 tensor.
    """
    if repeats > 1:
        length = IMAGES_PER_REPEAT_CYCLE * repeats
        place = tf.gather(tf.constant(REPEAT_ORDER, tf.int64), position % length)
        position = position // length * IMAGES_PER_REPEAT_CYCLE + place
    return tf.random.experimental.index_shuffle(
        position,
        seed=tf.stack([tf.constant(seed, tf.int64), epoch]),
        max_index=tf.constant(size - 1, tf.int64),
    )


@dataclasses.dataclass(frozen=True)
class Shard:
    """The part of every step that one worker processes.

    Attributes:
        batch_size: images of a step, on all workers and replicas together.
        steps_per_epoch: number of steps.
        worker: the worker, from 0.
        workers: number of workers.
        replicas: number of replicas of a worker.

    Raises:
        ValueError: if the batch cannot be divided among workers and replicas.
    """

    batch_size: int
    steps_per_epoch: int
    worker: int = 0
    workers: int = 1
    replicas: int = 1

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

    def of(self, values: tf.Tensor) -> tf.Tensor:
        """Return this worker's part of values that belong to the images of a step."""
        start = self.worker * self.of_worker
        return values[start : start + self.of_worker]

    def positions(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the epoch of a step, and this worker's positions in it."""
        first = step % self.steps_per_epoch * self.batch_size
        positions = first + tf.range(self.batch_size, dtype=tf.int64)
        return step // self.steps_per_epoch, self.of(positions)


@dataclasses.dataclass(frozen=True)
class TrainingSampler:
    """Images in random order, augmented.

    Attributes:
        source: the images.
        shard: this worker's part of every step.
        shape: shape of the images.
        crop_fraction: central share of images that are not cropped at random.
        augmentation: the augmentation.
        seed: seed of everything random.
    """

    source: ImageSource
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
        # Seeds for the images of all workers, so that they do not depend on the
        # number of workers.
        shape = (self.shard.batch_size, SEEDS, 2)
        seeds = tf.random.stateless_uniform(
            shape, self._seed(2 * step), None, None, tf.int32
        )
        return indices, self.shard.of(seeds)

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
        self, step: tf.Tensor, images: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Mix a batch of images and one-hot labels."""
        if not self.augmentation.mixes:
            return images, labels
        return mix(images, labels, self._seed(2 * step + 1), self.augmentation)

    @functools.cached_property
    def _keras_cv_layer(self):
        return keras_cv_layer(self.augmentation)

    def _seed(self, number):
        return tf.stack([tf.constant(self.seed, tf.int64), number])


@dataclasses.dataclass(frozen=True)
class EvaluationSampler:
    """Every image once, in order; black images of weight 0 fill the last batch.

    Attributes:
        source: the images.
        shard: this worker's part of every step.
        shape: shape of the images.
        crop_fraction: central share of an image that is evaluated.
    """

    source: ImageSource
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
        self, step: tf.Tensor, images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Return a batch unchanged."""
        return images, labels, weights

    def _nothing(self, index):
        classes = len(self.source.class_names)
        label = tf.zeros((classes,) if self.source.several_labels else (), tf.int64)
        return index, tf.zeros(self.shape), label, tf.constant(0.0)
