"""Resampling of patch positions in the graph, for a grid known when it runs.

`keras_tnt.weights.resample` does the same for a model of another size, when it loads
weights. Here the grid may be a tensor, so the resampling is two matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from keras import ops

from keras_tnt.utils.typing import Tensor

# Rows and columns, numbers or tensors.
Grid: TypeAlias = tuple[Any, Any]


def resampling_matrix(old: int, new: int | Tensor) -> Tensor:
    """Return the weights of bicubic resampling with antialias along one axis.

    Those of `keras.ops.image.resize`: Keys' kernel with a = -1/2, widened if there are
    fewer new values than old ones. Each row sums to 1. For as many new values as old
    ones, the matrix is exactly the identity.

    Args:
        old: number of values.
        new: number of values wanted, a number or an int32 scalar.

    Returns:
        A float32 tensor ``(new, old)``.

    Example:
        >>> import numpy
        >>> from keras_tnt.layers.position_resampling import resampling_matrix
        >>> numpy.array(resampling_matrix(2, 2))
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """
    # The distance of two centers is exact in multiples of half the finer spacing.
    centers = ops.expand_dims((2 * ops.arange(new, dtype="int32") + 1) * old, 1)
    old_centers = (2 * ops.arange(old, dtype="int32") + 1) * new
    spacing = 2 * ops.maximum(new, old)
    distances = ops.cast(ops.abs(centers - old_centers), "float32")
    weights = _kernel(distances / ops.cast(spacing, "float32"))
    return weights / ops.sum(weights, axis=1, keepdims=True)


def _kernel(x):
    """Keys' cubic kernel of distances that are not negative."""
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return ops.where(x < 1, near, ops.where(x < 2, far, 0.0 * x))


def resample_grid(tokens: Tensor, old_grid: Grid, new_grid: Grid) -> Tensor:
    """Resample vectors on a grid to another grid: bicubic, with antialias.

    Args:
        tokens: floating-point tensor ``(batch, rows · columns, dim)`` of the old grid,
            of static shape except for ``dim``.
        old_grid: ``(rows, columns)`` of ``tokens``, numbers.
        new_grid: ``(rows, columns)`` wanted, numbers or int32 scalars.

    Returns:
        A float32 tensor ``(batch, new rows · new columns, dim)``.

    Example:
        >>> import keras
        >>> from keras_tnt.layers.position_resampling import resample_grid
        >>> resample_grid(keras.ops.ones((1, 16, 48)), (4, 4), (3, 5)).shape
        TensorShape([1, 15, 48])
    """
    batch = tokens.shape[0]
    dim = tokens.shape[2] if tokens.shape[2] is not None else ops.shape(tokens)[2]
    (old_rows, old_columns), (rows, columns) = old_grid, new_grid
    # OpenVINO multiplies open sizes by constants of rank 2, and tensors of equal rank.
    x = ops.reshape(ops.cast(tokens, "float32"), (batch, old_rows, old_columns * dim))
    x = ops.reshape(ops.transpose(x, (1, 0, 2)), (old_rows, -1))
    x = ops.matmul(resampling_matrix(old_rows, rows), x)
    x = ops.reshape(x, (rows * batch, old_columns, dim))
    x = ops.matmul(ops.expand_dims(resampling_matrix(old_columns, columns), 0), x)
    x = ops.transpose(ops.reshape(x, (rows, batch, columns * dim)), (1, 0, 2))
    return ops.reshape(x, (batch, rows * columns, dim))


def resample_bias(
    bias: Tensor, old_grids: Sequence[Grid], new_grids: Sequence[Grid]
) -> Tensor:
    """Resample a relative position bias over queries and over keys.

    Args:
        bias: floating-point tensor ``(1, heads, queries, keys)``, of static shape.
        old_grids: the grids, ``(rows, columns)``, of queries and of keys, numbers.
        new_grids: those wanted.

    Returns:
        A float32 tensor ``(1, heads, new queries, new keys)``.

    Example:
        >>> import keras
        >>> from keras_tnt.layers.position_resampling import resample_bias
        >>> bias = keras.ops.ones((1, 2, 16, 4))
        >>> resample_bias(bias, ((4, 4), (2, 2)), ((6, 4), (3, 2))).shape
        TensorShape([1, 2, 24, 6])
    """
    values = ops.transpose(bias[0], (0, 2, 1))
    values = resample_grid(values, old_grids[1], new_grids[1])
    values = ops.transpose(values, (0, 2, 1))
    return ops.expand_dims(resample_grid(values, old_grids[0], new_grids[0]), 0)
