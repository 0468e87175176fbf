"""MixUp and CutMix: labels say what is in the images."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_tnt.data import Augmentation
from keras_tnt.data.augmentation.mixup_cutmix import cutmix, mix, mixup

SEEDS = st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 2)
ALPHAS = st.floats(0.05, 5.0)


def plain_images(batch, height, width):
    """Images that are all of one value, their own number, and one-hot labels."""
    numbers = np.arange(batch, dtype="float32")[:, None, None, None]
    images = np.broadcast_to(numbers, (batch, height, width, 1))
    return tf.constant(images), tf.eye(batch)


@settings(max_examples=200, deadline=None)
@given(
    SEEDS,
    st.integers(1, 3),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    ALPHAS,
)
def test_cutmix__labels_are_pixel_fractions(seed, pairs, size, alpha):
    images, labels = plain_images(2 * pairs, *size)
    mixed, found = cutmix(images, labels, tf.constant(seed, tf.int64), alpha)
    for number in range(2 * pairs):
        values, counts = np.unique(mixed[number], return_counts=True)
        counted = np.zeros(2 * pairs)
        counted[values.astype(int)] = counts / (size[0] * size[1])
        np.testing.assert_allclose(found[number], counted, atol=1e-6)
        assert set(values) <= {number, number ^ 1}  # partners


@settings(max_examples=50, deadline=None)
@given(SEEDS, ALPHAS)
def test_mixup__labels_are_image_weights(seed, alpha):
    images, labels = plain_images(4, 3, 5)
    mixed, found = mixup(images, labels, tf.constant(seed, tf.int64), alpha)
    values = np.asarray(mixed)
    assert (values == values[:, :1, :1]).all()
    expected = np.asarray(found) @ np.arange(4.0)
    np.testing.assert_allclose(values[:, 0, 0, 0], expected, rtol=1e-5, atol=1e-6)
    share = found[0, 0]
    assert 0 <= share <= 1
    pair = np.array([[share, 1 - share], [1 - share, share]])
    np.testing.assert_allclose(found, np.kron(np.eye(2), pair), atol=1e-6)


def shares(draw, alpha, number=400):
    """The shares that stay of an image, for many seeds."""
    images, labels = plain_images(2, 64, 64)
    seeds = tf.stack([tf.range(number), tf.fill([number], 9)], axis=1)
    one = tf.function(lambda seed: draw(images, labels, seed, alpha)[1][0, 0])
    return np.array([one(seed) for seed in seeds])


def test_mixup__beta_distribution():
    """Beta(a, a) has mean 1/2 and variance 1 / (8 a + 4)."""
    for alpha in (0.2, 0.8, 3.0):
        found = shares(mixup, alpha)
        assert abs(found.mean() - 0.5) < 0.07
        assert abs(found.var() * (8 * alpha + 4) - 1) < 0.25


def test_cutmix__clipped_rectangles():
    found = shares(cutmix, 1.0)
    assert 0.55 < found.mean() < 0.75
    assert found.min() < 0.2
    assert found.max() > 0.98


def kinds(augmentation, number=300):
    """How often a batch is left alone, mixed by MixUp, or by CutMix."""
    images, labels = plain_images(2, 16, 16)
    one = tf.function(lambda seed: mix(images, labels, seed, augmentation))
    counts = {"none": 0, "mixup": 0, "cutmix": 0}
    for number_ in range(number):
        mixed, found = one(tf.constant([7, number_], tf.int64))
        values = np.unique(mixed)
        if np.array_equal(found, labels):
            counts["none"] += 1
        else:
            counts["cutmix" if set(values) <= {0.0, 1.0} else "mixup"] += 1
    return {kind: count / number for kind, count in counts.items()}


@pytest.mark.parametrize(
    ("augmentation", "expected"),
    [
        (Augmentation(mixup=0.8, cutmix=1.0), (0, 0.5, 0.5)),
        (Augmentation(mixup=0.8, cutmix=1.0, switch_probability=0.2), (0, 0.8, 0.2)),
        (Augmentation(mixup=0.8, cutmix=1.0, mix_probability=0.4), (0.6, 0.2, 0.2)),
        (Augmentation(mixup=0.8), (0, 1, 0)),
        (Augmentation(cutmix=1.0), (0, 0, 1)),
    ],
)
def test_mixup_cutmix__switch_probability(augmentation, expected):
    found = kinds(augmentation)
    # Some rectangles are empty at this size, so some CutMix batches stay as they were.
    np.testing.assert_allclose(list(found.values()), expected, atol=0.1)


def test_mixup_cutmix__shards_equal_whole_batch():
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(0, 255, (8, 12, 10, 3)), tf.float32)
    labels = tf.constant(rng.uniform(0, 1, (8, 5)), tf.float32)
    augmentation = Augmentation(mixup=0.8, cutmix=1.0)
    for step in range(6):
        seed = tf.constant([1, step], tf.int64)
        whole = mix(images, labels, seed, augmentation)
        for start in (0, 2, 6):
            part = slice(start, start + 2)
            found = mix(images[part], labels[part], seed, augmentation)
            np.testing.assert_array_equal(found[0], whole[0][part])
            np.testing.assert_array_equal(found[1], whole[1][part])
