"""MixUp and CutMix: one draw for a batch, between the images of fixed pairs."""

import tensorflow as tf

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.utils.typing import Tensor


def mix(
    images: Tensor, labels: Tensor, seed: tf.Tensor, augmentation: Augmentation
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix the images 0 and 1, 2 and 3, ... of a batch, and their labels.

    There is one draw for the batch. The pairs are fixed, so any part of the batch that
    consists of whole pairs gives the same result, with the same seed.

    Args:
        images: float32 (batch, height, width, channels), with an even batch.
        labels: float32 (batch, classes).
        seed: a pair of integers, a tensor.
        augmentation: an `Augmentation` with the probabilities.

    Returns:
        Images and labels of the same shapes. A label is the share of its class in the
        image; with CutMix, the share of the pixels.
    """
    chance, switch, mixup_seed, cutmix_seed = tf.unstack(tf.random.split(seed, 4), 4)

    def with_mixup():
        return mixup(images, labels, mixup_seed, augmentation.mixup)

    def with_cutmix():
        return cutmix(images, labels, cutmix_seed, augmentation.cutmix)

    def with_either():
        share = augmentation.switch_probability
        switched = tf.random.stateless_uniform((), switch) < share
        return tf.cond(switched, with_cutmix, with_mixup)

    if augmentation.mixup and augmentation.cutmix:
        mixed = with_either
    else:
        mixed = with_mixup if augmentation.mixup else with_cutmix
    applied = tf.random.stateless_uniform((), chance) < augmentation.mix_probability
    return tf.cond(applied, mixed, lambda: (images, labels))


def mixup(
    images: Tensor, labels: Tensor, seed: tf.Tensor, alpha: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Average every image and its partner, with a weight from Beta(alpha, alpha).

    Args:
        images: float32 (batch, height, width, channels), with an even batch.
        labels: float32 (batch, classes).
        seed: a pair of integers, a tensor.
        alpha: parameter of the distribution; small values give weights near 0 and 1.

    Returns:
        Images and labels of the same shapes.
    """
    share = _beta(seed, alpha)
    return _blend(images, share), _blend(labels, share)


def cutmix(
    images: Tensor, labels: Tensor, seed: tf.Tensor, alpha: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Paste a rectangle of its partner into every image.

    Args:
        images: float32 (batch, height, width, channels), with an even batch.
        labels: float32 (batch, classes).
        seed: a pair of integers, a tensor.
        alpha: parameter of the Beta distribution of the share that remains, before the
            rectangle is clipped at the image border.

    Returns:
        Images and labels of the same shapes; the labels count the pixels that remain.
    """
    share_seed, place_seed = tf.unstack(tf.random.split(seed, 2), 2)
    height, width = images.shape[1:3]
    full = tf.constant([height, width])
    cut = tf.sqrt(1 - _beta(share_seed, alpha))
    half = tf.cast(tf.cast(full, tf.float32) * cut, tf.int32) // 2
    center = tf.random.stateless_uniform((2,), place_seed)
    center = tf.cast(center * tf.cast(full, tf.float32), tf.int32)
    start, end = tf.maximum(center - half, 0), tf.minimum(center + half, full)
    rows, columns = tf.range(height)[:, None, None], tf.range(width)[None, :, None]
    inside = (rows >= start[0]) & (rows < end[0])
    inside &= (columns >= start[1]) & (columns < end[1])
    share = 1 - tf.reduce_prod(end - start) / (height * width)
    mixed = tf.where(inside, _partners(images), images)
    return mixed, _blend(labels, tf.cast(share, tf.float32))


def _beta(seed, alpha):
    """A draw from Beta(alpha, alpha), computed from two gamma draws."""
    draws = tf.random.stateless_gamma((2,), seed, alpha, dtype=tf.float64)
    share = tf.math.divide_no_nan(
        draws[0], draws[0] + draws[1]
    )  # tiny for a tiny alpha
    return tf.cast(share, tf.float32)


def _blend(values, share):
    return share * values + (1 - share) * _partners(values)


def _partners(values):
    """Exchanges 0 and 1, 2 and 3, ... of a batch."""
    pairs = tf.reshape(values, (-1, 2, *values.shape[1:]))
    return tf.reshape(tf.reverse(pairs, [1]), tf.shape(values))
