"""Which image comes when."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_tnt.data.sampler import Shard, sample_index


def epoch_of(size, epoch=0, seed=0, repeats=1, positions=None):
    positions = tf.range(size if positions is None else positions, dtype=tf.int64)
    epoch = tf.constant(epoch, tf.int64)
    return sample_index(positions, epoch, size, seed, repeats).numpy()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 10**6), st.integers(-(2**62), 2**62))
def test_sampler__epoch_has_every_image_once(size, epoch, seed):
    np.testing.assert_array_equal(np.sort(epoch_of(size, epoch, seed)), np.arange(size))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 100), st.integers(2, 3), st.integers(0, 1000))
def test_sampler__repeats(groups, repeats, epoch):
    size = 4 * repeats * groups
    counts = collections.Counter(epoch_of(size, epoch, repeats=repeats).tolist())
    assert set(counts.values()) == {repeats}
    assert len(counts) == size // repeats


@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_sampler__epochs_and_seeds_differ(repeats):
    epochs = [epoch_of(120, epoch, 0, repeats) for epoch in range(4)]
    epochs += [epoch_of(120, 0, seed, repeats) for seed in (1, 2)]
    for index, first in enumerate(epochs):
        for second in epochs[:index]:
            assert (first == second).mean() < 0.1
    if repeats > 1:  # other images, too
        assert set(epochs[0]) != set(epochs[1])


def test_sampler__order_is_random():
    order = epoch_of(10_000)
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.05
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.05
    assert (np.diff(order) == 1).mean() < 0.01


def test_sampler__repeats_have_other_neighbours():
    order = epoch_of(240, repeats=3)
    pairs = [frozenset(pair) for pair in order.reshape(-1, 2).tolist()]
    assert all(len(pair) == 2 for pair in pairs)  # none is its own partner
    assert len(set(pairs)) == len(pairs)


def test_sampler__repeats_are_close():
    order = epoch_of(240, repeats=3).tolist()
    for index in set(order):
        places = [place for place, other in enumerate(order) if other == index]
        assert places[-1] - places[0] < 12


@pytest.mark.parametrize("parts", [(1, 1), (2, 1), (1, 3), (2, 3), (4, 3)])
def test_sampler__shards_make_up_the_step(parts):
    workers, replicas = parts
    shares = [Shard(24, 5, worker, workers, replicas) for worker in range(workers)]
    for step in (0, 4, 5, 13):
        found = [share.positions(tf.constant(step, tf.int64)) for share in shares]
        assert {int(epoch) for epoch, _ in found} == {step // 5}
        positions = np.concatenate([position for _, position in found])
        np.testing.assert_array_equal(positions, step % 5 * 24 + np.arange(24))
        assert shares[0].of_worker == 24 // workers
        assert shares[0].of_replica == 24 // workers // replicas


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 10, "workers": 2, "replicas": 2}, "Use a multiple of 4"),
        ({"batch_size": 0}, "batch_size=0 cannot be divided"),
        (
            {"batch_size": 4, "worker": 2, "workers": 2},
            "must be from 0 to 1, got 2",
        ),
        ({"batch_size": 4, "worker": -1}, "worker must be from 0 to 0, got -1"),
    ],
)
def test_sampler__invalid_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Shard(steps_per_epoch=1, **arguments)
