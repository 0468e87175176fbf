"""Sampling of images with boxes, for training and for evaluation."""

from __future__ import annotations

from keras_tnt.data.augmentation.box_transforms import (
    NO_OBJECT,
    evaluation_objects,
    image_with_size,
    training_objects,
)
from keras_tnt.data.sampler import EvaluationSampler, TrainingSampler
from keras_tnt.utils.lazy import tensorflow as tf


class BoxTrainingSampler(TrainingSampler):
    """Images and boxes in random order, augmented; as `TrainingSampler`.

    The source is a `BoxSource`.
    """

    def load(self, index: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the index of an image, the image, its boxes and their classes."""
        contents, objects = self.source.fetch(index)
        loaded = training_objects(
            contents,
            objects,
            seeds,
            self.augmentation,
            self.shape,
            self.source,
        )
        return index, *loaded


class BoxEvaluationSampler(EvaluationSampler):
    """Every image and its boxes once, in order; as `EvaluationSampler`.

    The source is a `BoxSource`.
    """

    def load(self, index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the index of an image, the image, its boxes, classes and weight."""

        def exists():
            contents, objects = self.source.fetch(index)
            loaded = evaluation_objects(contents, objects, self.shape, self.source)
            return index, *loaded, tf.constant(1.0)

        return tf.cond(index < len(self.source), exists, lambda: self._nothing(index))

    def _nothing(self, index):
        most = self.source.max_boxes
        boxes = tf.zeros((most, 4)), tf.fill((most,), NO_OBJECT)
        return index, tf.zeros(self.shape), *boxes, tf.constant(0.0)


class EncodedBoxSampler(EvaluationSampler):
    """Every image once, in order, with its objects as they are encoded.

    The source is a `BoxSource`.
    """

    def load(self, index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the index of an image, the image, its size, objects and weight."""

        def exists():
            contents, objects = self.source.fetch(index)
            image, size = image_with_size(contents, self.shape)
            return index, image, size, objects, tf.constant(1.0)

        return tf.cond(index < len(self.source), exists, lambda: self._nothing(index))

    def _nothing(self, index):
        size = tf.zeros(2, tf.int32)
        return index, tf.zeros(self.shape), size, tf.constant(""), tf.constant(0.0)
