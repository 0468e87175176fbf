"""MixUp and CutMix: labels say what is in the images."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_tnt.data import Augmentation
from keras_tnt.data.augmentation.config import MIX_MODES
from keras_tnt.data.augmentation.mixup_cutmix import mix

SEEDS = st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 2)
ALPHAS = st.floats(0.05, 5.0)


def plain_images(batch, height, width):
    """Images that are all of one value, their own number, and one-hot labels."""
    numbers = np.arange(batch, dtype="float32")[:, None, None, None]
    images = np.broadcast_to(numbers, (batch, height, width, 1))
    return tf.constant(images), tf.eye(batch)


@settings(max_examples=15, deadline=None)
@given(
    SEEDS,
    st.integers(1, 7),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    ALPHAS,
    st.sampled_from(MIX_MODES),
)
def test_cutmix__labels_are_pixel_fractions(seed, group, size, alpha, mode):
    images, labels = plain_images(group, *size)
    augmentation = Augmentation(cutmix=alpha, mix_mode=mode)
    mixed, found = mix(images, labels, tf.constant(seed, tf.int64), augmentation)
    for number in range(group):
        values, counts = np.unique(mixed[number], return_counts=True)
        counted = np.zeros(group)
        counted[values.astype(int)] = counts / (size[0] * size[1])
        np.testing.assert_allclose(found[number], counted, atol=1e-6)
        assert set(values) <= {number, group - 1 - number}  # partners


@settings(max_examples=10, deadline=None)
@given(SEEDS, ALPHAS, st.sampled_from(MIX_MODES))
def test_mixup__labels_are_image_weights(seed, alpha, mode):
    images, labels = plain_images(5, 3, 5)
    augmentation = Augmentation(mixup=alpha, mix_mode=mode)
    results = mix(images, labels, tf.constant(seed, tf.int64), augmentation)
    mixed, found = (values.numpy() for values in results)
    assert (mixed == mixed[:, :1, :1]).all()
    np.testing.assert_array_equal(mixed, mixed.round())
    exact = found @ np.arange(5.0)
    assert np.abs(mixed[:, 0, 0, 0] - exact).max() <= 0.5 + 1e-5
    shares = np.diag(found)
    assert (found >= 0).all()
    outside = np.eye(5) + np.eye(5)[::-1] == 0
    assert not found[outside].any()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    others = np.delete(shares, 2)  # the middle one is its own partner
    if mode == "batch":
        assert len(set(others)) == 1
    elif mode == "pair":
        np.testing.assert_array_equal(shares, shares[::-1])


@pytest.mark.parametrize(("mode", "draws"), [("batch", 1), ("pair", 8), ("elem", 16)])
def test_mix__draws_of_each_mode(mode, draws):
    images, labels = plain_images(16, 8, 8)
    seed = tf.constant([3, 4], tf.int64)
    _, found = mix(images, labels, seed, Augmentation(mixup=0.8, mix_mode=mode))
    assert len(set(np.diag(found).tolist())) == draws
    # MixUp for some draws, and CutMix for others.
    both = Augmentation(mixup=0.8, cutmix=1.0, mix_mode=mode)
    for number in range(4):
        seed = tf.constant([3, number], tf.int64)
        mixed, _ = mix(100 * images, labels, seed, both)
        pairs = 100 * np.stack([np.arange(16), np.arange(16)[::-1]])
        pasted = (mixed.numpy()[..., None] == pairs.T[:, None, None, None]).any(axis=-1)
        number_of_cuts = pasted.all(axis=(1, 2, 3)).sum()
        assert number_of_cuts in ((0, 16) if mode == "batch" else range(1, 16))


def shares(augmentation, number=1000):
    """The shares that stay of many images, each with its own draw."""
    images, labels = tf.zeros([number, 64, 64, 1]), tf.eye(number)
    augmentation = dataclasses.replace(augmentation, mix_mode="elem")
    _, found = mix(images, labels, tf.constant([9, 9], tf.int64), augmentation)
    return np.diag(found)


def test_mixup__beta_distribution():
    """Beta(a, a) has mean 1/2 and variance 1 / (8 a + 4)."""
    for alpha in (0.2, 0.8, 3.0):
        found = shares(Augmentation(mixup=alpha))
        assert abs(found.mean() - 0.5) < 0.07
        assert abs(found.var() * (8 * alpha + 4) - 1) < 0.25


def test_cutmix__clipped_rectangles():
    found = shares(Augmentation(cutmix=1.0))
    assert 0.55 < found.mean() < 0.75
    assert found.min() < 0.2
    assert found.max() > 0.98


def kinds(augmentation, number=1000):
    """How many images are left alone, mixed by MixUp, or by CutMix."""
    black_and_white = np.zeros((number, 16, 16, 1), "float32")
    black_and_white[number // 2 :] = 100
    augmentation = dataclasses.replace(augmentation, mix_mode="elem")
    seed = tf.constant([7, 7], tf.int64)
    mixed, labels = mix(black_and_white, tf.eye(number), seed, augmentation)
    alone = np.diag(labels) == 1
    whole = np.isin(mixed, [0, 100]).all(axis=(1, 2, 3))
    return [alone.mean(), (~alone & ~whole).mean(), (~alone & whole).mean()]


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
    np.testing.assert_allclose(found, expected, atol=0.1)
