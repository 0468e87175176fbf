"""Which image comes when."""

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
@given(st.integers(1, 400), st.integers(2, 3), st.integers(0, 1000))
def test_sampler__repeats(images, repeats, epoch):
    """An image stands in the list as often as it is repeated, in a row."""
    order = epoch_of(images * repeats, epoch, repeats=repeats).reshape(-1, repeats)
    assert (order == order[:, :1]).all()
    assert len(set(order[:, 0])) == images


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


def positions_of(step, steps_per_epoch=5, **arguments):
    shard = Shard(steps_per_epoch=steps_per_epoch, **arguments)
    epoch, positions = shard.positions(tf.constant(step, tf.int64))
    return int(epoch), positions.numpy()


def test_shard__list_is_dealt_to_the_groups_in_turn():
    for step in (0, 3):
        _, positions = positions_of(step, batch_size=1024, group_size=128)
        first = step * 1024
        for g, group in enumerate(positions.reshape(8, 128)):
            np.testing.assert_array_equal(group, first + np.arange(g, 1024, 8))


@pytest.mark.parametrize("repeats", [2, 3])
def test_shard__no_group_shows_an_image_twice(repeats):
    for step in range(5):
        _, positions = positions_of(step, batch_size=40, group_size=10)
        indices = sample_index(positions, tf.constant(7, tf.int64), 200, 0, repeats)
        assert all(len(set(group)) == 10 for group in indices.numpy().reshape(4, 10))


@pytest.mark.parametrize(
    ("parts", "loaded", "chunk"),
    [
        ((1, 1), [24], 24),
        ((1, 2), [24], 24),  # a replica has one and a half groups
        ((3, 1), [8, 8, 8], 8),
        ((1, 3), [24], 8),
        ((2, 1), [16, 16], 16),  # each of the two has half of the middle group
        ((4, 2), [8, 16, 16, 8], None),
    ],
)
def test_shard__loads_whole_groups(parts, loaded, chunk):
    workers, replicas = parts
    shards = [
        Shard(24, 5, worker, workers, replicas, group_size=8)
        for worker in range(workers)
    ]
    assert [shard.loaded_per_step for shard in shards] == loaded
    for shard in shards:
        assert shard.chunk == (chunk or shard.loaded_per_step)
        assert shard.loaded.start % 8 == shard.loaded.stop % 8 == 0
        own = np.arange(24)[shard.loaded][shard.own]
        expected = np.split(np.arange(24), workers)[shard.worker]
        np.testing.assert_array_equal(own, expected)


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
