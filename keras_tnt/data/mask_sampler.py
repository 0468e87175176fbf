"""Sampling of images with masks, for training and for evaluation."""

from __future__ import annotations

import dataclasses

from keras_tnt.data.augmentation.mask_transforms import (
    evaluation_pair,
    resize_classes,
    training_pair,
)
from keras_tnt.data.mask_source import IGNORED
from keras_tnt.data.sampler import EvaluationSampler, TrainingSampler
from keras_tnt.utils.lazy import tensorflow as tf


class MaskTrainingSampler(TrainingSampler):
    """Images and masks in random order, augmented; as `TrainingSampler`.

    The source is a `MaskSource`.
    """

    def load(self, index: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the index of an image, the image and its classes."""
        contents, mask = self.source.fetch(index)
        pair = training_pair(
            contents, mask, seeds, self.augmentation, self.shape, self.source
        )
        return index, *pair


@dataclasses.dataclass(frozen=True)
class MaskEvaluationSampler(EvaluationSampler):
    """Every image and its mask once, in order; as `EvaluationSampler`.

    The source is a `MaskSource`.

    Attributes:
        encoded: whether to return masks as they are encoded, of their own size.
    """

    encoded: bool = False

    def load(self, index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the index of an image, the image, its mask and its weight."""

        def exists():
            contents, mask = self.source.fetch(index)
            image, classes = evaluation_pair(contents, mask, self.shape, self.source)
            if self.encoded:
                with tf.control_dependencies([classes]):
                    target = tf.identity(mask)
            else:
                target = resize_classes(classes, self.shape[:2])
            return index, image, target, tf.constant(1.0)

        return tf.cond(index < len(self.source), exists, lambda: self._nothing(index))

    def _nothing(self, index):
        target = tf.constant("") if self.encoded else tf.fill(self.shape[:2], IGNORED)
        return index, tf.zeros(self.shape), target, tf.constant(0.0)
