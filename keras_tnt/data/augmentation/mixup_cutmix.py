"""MixUp and CutMix of a group of images with the same group in reverse order."""

from __future__ import annotations

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Tensor


def mix(
    images: Tensor, labels: Tensor, seed: tf.Tensor, augmentation: Augmentation
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix a group of images, and their labels.

    The partner of image i of n is image n - 1 - i. MixUp averages both with a weight
    from Beta(alpha, alpha) and rounds to whole gray levels. CutMix pastes a rectangle
    of the partner, whose share of the area is drawn from the same distribution before
    it is clipped at the image border.

    Args:
        images: float32 (group, height, width, channels), whole numbers 0-255, of
            static shape.
        labels: float32 (group, classes).
        seed: a pair of integers, a tensor.
        augmentation: an `Augmentation`. Its `mix_mode` says what shares a draw.

    Returns:
        Images and labels of the same shapes. A label is the share of its class in the
        image; with CutMix, the share of the pixels.
    """
    group, *size, _ = images.shape
    draw_of_image = {
        "batch": tf.zeros([group], tf.int32),
        "pair": tf.minimum(tf.range(group), tf.range(group)[::-1]),
        "elem": tf.range(group),
    }[augmentation.mix_mode]
    weights, boxes = (
        tf.gather(drawn, draw_of_image)
        for drawn in _draw(seed, group, size, augmentation)
    )
    kept = tf.where(_inside(boxes, size), 0.0, weights[:, None, None, None])
    areas = tf.reduce_prod(boxes[:, 1] - boxes[:, 0], axis=-1) / (size[0] * size[1])
    shares = weights[:, None] * (1 - tf.cast(areas, tf.float32)[:, None])
    return tf.round(_blend(images, kept)), _blend(labels, shares)


def _draw(seed, number, size, augmentation):
    """Draw MixUp's weights and CutMix's rectangles.

    Returns:
        The weights of the images, 1 without MixUp, and the rectangles in which their
        partners replace them, ((top, left), (bottom, right)), empty without CutMix.
    """
    chance, switch, mixup_seed, cutmix_seed = tf.unstack(tf.random.split(seed, 4), 4)
    applied = _uniform(chance, (number,)) < augmentation.mix_probability
    if augmentation.mixup and augmentation.cutmix:
        cuts = _uniform(switch, (number,)) < augmentation.switch_probability
    else:
        cuts = tf.fill([number], augmentation.cutmix > 0)
    weights, boxes = tf.ones([number]), tf.zeros([number, 2, 2], tf.int32)
    if augmentation.mixup:
        drawn = _beta(mixup_seed, number, augmentation.mixup)
        weights = tf.where(applied & ~cuts, drawn, weights)
    if augmentation.cutmix:
        drawn = _boxes(cutmix_seed, number, size, augmentation.cutmix)
        boxes = tf.where((applied & cuts)[:, None, None], drawn, boxes)
    return weights, boxes


def _boxes(seed, number, size, alpha):
    """CutMix's rectangles, clipped at the image border."""
    share_seed, place_seed = tf.unstack(tf.random.split(seed, 2), 2)
    full = tf.constant(size)
    cut = tf.sqrt(1 - _beta(share_seed, number, alpha))
    half = tf.cast(tf.cast(full, tf.float32) * cut[:, None], tf.int32) // 2
    center = _uniform(place_seed, (number, 2)) * tf.cast(full, tf.float32)
    center = tf.cast(center, tf.int32)
    ends = [tf.maximum(center - half, 0), tf.minimum(center + half, full)]
    return tf.stack(ends, axis=1)


def _inside(boxes, size):
    """Whether a pixel is in the rectangle of its image, (group, height, width, 1)."""
    rows = tf.range(size[0])[:, None, None]
    columns = tf.range(size[1])[None, :, None]
    corners = boxes[:, :, :, None, None, None]
    inside = (rows >= corners[:, 0, 0]) & (rows < corners[:, 1, 0])
    return inside & (columns >= corners[:, 0, 1]) & (columns < corners[:, 1, 1])


def _beta(seed, number, alpha):
    """Draws from Beta(alpha, alpha), each computed from two gamma draws."""
    draws = tf.random.stateless_gamma((number, 2), seed, alpha, dtype=tf.float64)
    # The sum is tiny for a tiny alpha.
    share = tf.math.divide_no_nan(draws[:, 0], tf.reduce_sum(draws, axis=1))
    return tf.cast(share, tf.float32)


def _uniform(seed, shape):
    return tf.random.stateless_uniform(shape, seed)


def _blend(values, share):
    return share * values + (1 - share) * tf.reverse(values, [0])
