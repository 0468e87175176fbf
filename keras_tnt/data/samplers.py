"""What is loaded in every step, and how: for training, and for evaluation."""

import dataclasses

import tensorflow as tf

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.data.augmentation.mixup_cutmix import mix
from keras_tnt.data.augmentation.transforms import (
    SEEDS,
    evaluation_image,
    training_image,
)
from keras_tnt.data.error_handling import next_readable, note_broken
from keras_tnt.data.sampler import Share, picture_at
from keras_tnt.data.source import ImageSource


@dataclasses.dataclass(frozen=True)
class Training:
    """Pictures in random order, augmented.

    Attributes:
        source: where the pictures come from.
        share: this worker's part of every step.
        shape: of the images.
        crop_fraction: of pictures that are not cropped at random.
        augmentation: what is done to them.
        seed: of everything random.
    """

    source: ImageSource
    share: Share
    shape: tuple[int, int, int]
    crop_fraction: float
    augmentation: Augmentation
    seed: int

    def choose(self, step):
        """Returns the indices of a step's pictures, and the seeds for each."""
        epoch, position = self.share.positions(step)
        repeats = self.augmentation.repeats
        indices = picture_at(position, epoch, len(self.source), self.seed, repeats)
        # Seeds for the pictures of all workers, so that each gets the same ones
        # however many workers there are.
        shape = (self.share.batch_size, SEEDS, 2)
        seeds = tf.random.stateless_uniform(
            shape, self._seed(2 * step), None, None, tf.int32
        )
        return indices, self.share.of(seeds)

    def load(self, index, seeds):
        """Returns the index of a picture, the image and its label."""
        contents, label = self.source.fetch(index)
        image = training_image(
            contents, seeds, self.augmentation, self.shape, self.crop_fraction
        )
        return index, image, label

    def replace(self, index, seeds):
        """Returns the same of the next picture that can be read."""
        return next_readable(self.source, index, lambda other: self.load(other, seeds))

    def finish(self, step, images, labels):
        """Mixes a batch of images and one-hot labels."""
        if not self.augmentation.mixes:
            return images, labels
        return mix(images, labels, self._seed(2 * step + 1), self.augmentation)

    def _seed(self, number):
        return tf.stack([tf.constant(self.seed, tf.int64), number])


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Every picture once, in order, and black ones of weight 0 to fill the last batch.

    Attributes:
        source: where the pictures come from.
        share: this worker's part of every step.
        shape: of the images.
        crop_fraction: share of a picture that is evaluated.
    """

    source: ImageSource
    share: Share
    shape: tuple[int, int, int]
    crop_fraction: float

    def choose(self, step):
        """Returns the indices of a step's pictures; the last ones may not exist."""
        _, position = self.share.positions(step)
        return (position,)

    def load(self, index):
        """Returns the index of a picture, the image, its label and its weight."""

        def exists():
            contents, label = self.source.fetch(index)
            image = evaluation_image(contents, self.shape, self.crop_fraction)
            return index, image, label, tf.constant(1.0)

        return tf.cond(index < len(self.source), exists, lambda: self._nothing(index))

    def replace(self, index):
        """Returns the same for a picture that cannot be read."""
        with tf.control_dependencies([note_broken(self.source, index[tf.newaxis])]):
            return self._nothing(tf.identity(index))

    def finish(self, step, images, labels, weights):
        """Returns a batch as it is."""
        return images, labels, weights

    def _nothing(self, index):
        return index, tf.zeros(self.shape), tf.constant(0, tf.int64), tf.constant(0.0)
