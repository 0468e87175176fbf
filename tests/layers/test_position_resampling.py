"""The resampling in the graph equals the one when weights are loaded."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_tnt.layers.position_resampling import (
    resample_bias,
    resample_grid,
    resampling_matrix,
)
from keras_tnt.weights.resample import resample_position_bias, resample_tokens

grids = st.tuples(st.integers(1, 20), st.integers(1, 20))


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@settings(max_examples=25, deadline=None)
@given(old=grids, new=grids, batch=st.integers(1, 2))
def test_resample_grid__equals_load_time(old, new, batch):
    tokens = noise(batch, old[0] * old[1], 3)
    expected = resample_tokens(tokens, old, new)
    np.testing.assert_allclose(resample_grid(tokens, old, new), expected, atol=1e-5)


@pytest.mark.parametrize("new", [(24, 24), (14, 14), (5, 30)])
def test_resample_grid__published_positions_at_an_open_size(new):
    """Of the standard deviation of trained positions."""
    tokens = 0.3 * noise(1, 14 * 14, 384)
    found = tf.function(lambda *grid: resample_grid(tokens, (14, 14), grid))(
        *map(tf.constant, new)
    )
    expected = resample_tokens(tokens, (14, 14), new)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_resampling_matrix__is_the_identity_for_equal_sizes():
    for size in range(1, 129):
        np.testing.assert_array_equal(resampling_matrix(size, size), np.eye(size))


@settings(max_examples=10, deadline=None)
@given(old=grids, new=grids)
def test_resample_bias__equals_load_time(old, new):
    pooled = [tuple(max(1, side // 2) for side in grid) for grid in (old, new)]
    bias = noise(1, 2, old[0] * old[1], pooled[0][0] * pooled[0][1])
    arguments = (old, pooled[0]), (new, pooled[1])
    expected = resample_position_bias(bias, *arguments)
    np.testing.assert_allclose(resample_bias(bias, *arguments), expected, atol=2e-5)


def test_resample_grid__gradient_is_the_transposed_map():
    """That of load-time resampling, which is linear."""
    old, new = (3, 4), (5, 2)
    upstream = noise(1, 10, 1)
    tokens = tf.Variable(noise(1, 12, 1))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(resample_grid(tokens, old, new) * upstream)
    columns = np.eye(12, dtype="float32").reshape(12, 12, 1)
    rows = resample_tokens(columns, old, new)[..., 0]
    expected = rows @ upstream[0]
    np.testing.assert_allclose(tape.gradient(loss, tokens)[0], expected, atol=1e-5)


def test_resample_grid__half_precision_computes_in_float32():
    tokens = keras.ops.cast(noise(1, 12, 3), "bfloat16")
    found = resample_grid(tokens, (3, 4), (7, 5))
    assert found.dtype == "float32"
    expected = resample_tokens(keras.ops.cast(tokens, "float32"), (3, 4), (7, 5))
    np.testing.assert_allclose(found, expected, atol=1e-5)
