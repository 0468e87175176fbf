import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_tnt.weights.resample import resample_patch_positions, source_grid

grids = st.tuples(st.integers(1, 12), st.integers(1, 12))


@settings(max_examples=30, deadline=None)
@given(old=grids, new=grids)
def test_resample__constants_and_class_token(old, new):
    positions = np.full((1, 1 + old[0] * old[1], 3), 0.5, "float32")
    positions[:, 0] = [1, 2, 3]
    found = resample_patch_positions(positions, old, new)
    assert found.shape == (1, 1 + new[0] * new[1], 3)
    np.testing.assert_array_equal(found[:, 0], [[1, 2, 3]])
    np.testing.assert_allclose(found[:, 1:], 0.5, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(old=grids, new=grids)
def test_resample__rows_and_columns(old, new):
    """A grid that varies along the rows only stays so."""
    rows = np.linspace(0, 1, old[0], dtype="float32")
    grid = np.broadcast_to(rows[:, None, None], (*old, 1)).reshape(1, -1, 1)
    positions = np.concatenate([np.zeros((1, 1, 1), "float32"), grid], axis=1)
    found = resample_patch_positions(positions, old, new)[:, 1:].reshape(new)
    np.testing.assert_allclose(found, found[:, :1] + np.zeros(new), atol=1e-5)


def test_resample__same_grid():
    positions = np.random.default_rng(0).random((1, 13, 4), "float32")
    found = resample_patch_positions(positions, (3, 4), (3, 4))
    np.testing.assert_array_equal(found, positions)


@pytest.mark.parametrize(
    ("positions", "target", "recorded", "expected"),
    [
        (16, (2, 8), None, (4, 4)),
        (16, (2, 8), (2, 8), (2, 8)),
        (16, (3, 3), (1, 1), (4, 4)),
        (8, (2, 4), None, (2, 4)),
        (8, (3, 3), None, None),
    ],
)
def test_source_grid__square_and_recorded(positions, target, recorded, expected):
    assert source_grid(positions, target, recorded) == expected
