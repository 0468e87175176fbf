"""Masks that belong to the images of the global batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.layers.dropout import Dropout
from tests.helpers.checks import two_replicas


def masked(strategy, shape, **options):
    """What two steps make of ones, each replica's part after the other."""
    with strategy.scope():
        layer = Dropout(0.5, seed=3, **options)
    replicas = strategy.num_replicas_in_sync
    local = (shape[0] // replicas, *shape[1:])

    @tf.function
    def step():
        return strategy.run(lambda: layer(tf.ones(local), training=True))

    results = [strategy.experimental_local_results(step()) for _ in range(2)]
    return [np.concatenate(parts) for parts in results]


@pytest.mark.parametrize("shape", [(4, 3), (8, 5, 7), (6, 9, 1, 3)])
@pytest.mark.parametrize("per_image", [False, True])
def test_dropout__same_masks_on_any_number_of_replicas(shape, per_image):
    """Also where a replica's values are not as many as the generator draws at once."""
    noise_shape = (None, *[1] * (len(shape) - 1)) if per_image else None
    one = masked(
        tf.distribute.OneDeviceStrategy("/cpu:0"), shape, noise_shape=noise_shape
    )
    two = masked(two_replicas(), shape, noise_shape=noise_shape)
    for ours, theirs in zip(two, one, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert set(np.unique(ours)) <= {0.0, 2.0}


def test_dropout__replicas_and_steps_differ():
    first, second = masked(two_replicas(), (64, 5))
    halves = [*np.split(first, 2), *np.split(second, 2)]
    for number, half in enumerate(halves):
        assert 0.3 < (half == 0).mean() < 0.7
        assert all((half != other).any() for other in halves[:number])


@pytest.mark.parametrize("strategy", ["none", "two"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dropout__same_masks_compiled_by_xla(strategy, dtype):
    strategy = two_replicas() if strategy == "two" else tf.distribute.get_strategy()

    def masks(jit_compile):
        with strategy.scope():
            layer = Dropout(0.3, seed=3, dtype=dtype)
        drop = tf.function(
            lambda: layer(tf.ones((7, 9)), training=True), jit_compile=jit_compile
        )
        step = tf.function(lambda: strategy.run(lambda: drop()))
        return strategy.experimental_local_results(step())

    for ours, theirs in zip(masks(True), masks(False), strict=True):
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours == 0, theirs == 0)


def test_dropout__without_a_strategy():
    expected = masked(tf.distribute.OneDeviceStrategy("/cpu:0"), (8, 5))
    layer = Dropout(0.5, seed=3)
    for values in expected:
        np.testing.assert_array_equal(layer(np.ones((8, 5)), training=True), values)
    np.testing.assert_array_equal(layer(np.ones((8, 5))), np.ones((8, 5)))
    for rate, value in ((0.0, 1), (1.0, 0)):
        found = Dropout(rate)(np.ones((2, 3)), training=True)
        np.testing.assert_array_equal(found, np.full((2, 3), value))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dropout__dtypes(dtype):
    found = Dropout(0.25, seed=1, dtype=dtype)(tf.ones((400, 3)), training=True)
    assert found.dtype == dtype
    assert 0.2 < np.mean(tf.cast(found, "float32") == 0) < 0.3


def test_dropout__reload():
    layer = Dropout(0.5, noise_shape=(None, 1), seed=3, name="drop")
    config = keras.saving.serialize_keras_object(layer)
    fresh = keras.saving.deserialize_keras_object(config)
    assert type(fresh) is Dropout
    assert fresh.get_config() == layer.get_config()
