"""Patch positions and position biases of another image size."""

from collections.abc import Sequence
from typing import TypeAlias

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_tnt.structure import position_grid

Grid: TypeAlias = tuple[int, int]


def source_grid(
    num_positions: int, target_grid: Grid, recorded_grid: Grid | None = None
) -> Grid | None:
    """Find the grid of patches that position embeddings belong to.

    Upstream files do not record it. As in timm, a square number of patches stands for
    a square image; otherwise the target's own grid is tried.

    Args:
        num_positions: positions in the file, the class token's not counted.
        target_grid: ``(rows, columns)`` of the model.
        recorded_grid: ``(rows, columns)`` if the file records it, else ``None``.

    Returns:
        ``(rows, columns)``, or ``None`` if it is ambiguous.

    Example:
        >>> from keras_tnt.weights.resample import source_grid
        >>> source_grid(196, (24, 24)), source_grid(8, (2, 4)), source_grid(8, (3, 3))
        ((14, 14), (2, 4), None)
    """
    side = round(num_positions**0.5)
    candidates = [recorded_grid, (side, side), tuple(target_grid)]
    for grid in candidates:
        if grid and grid[0] * grid[1] == num_positions:
            return tuple(grid)
    return None


def grid_of_positions(
    model: keras.Model, count: int, recorded_grid: Grid | None, name: str
) -> Grid:
    """Return the grid of the patch positions in a file.

    Args:
        model: the model to load them into.
        count: number of positions, the class token's not counted.
        recorded_grid: ``(rows, columns)`` if the file records it, else ``None``.
        name: what the file calls the positions.

    Returns:
        ``(rows, columns)``.

    Raises:
        ValueError: if the grid is ambiguous.
    """
    grid = position_grid(model)
    old_grid = source_grid(count, grid, recorded_grid)
    if old_grid is None:
        raise ValueError(
            f"The grid of tensor {name!r} is unknown: its {count} positions are "
            f"neither a square nor the model's {grid[0]}x{grid[1]} patches. Load it "
            "into a model of its own image size, and save that model as .keras or with "
            "keras_tnt.save_upstream_weights: both record the grid."
        )
    return old_grid


def resample_patch_positions(
    positions: ArrayLike, old_grid: Grid, new_grid: Grid
) -> np.ndarray:
    """Resample patch positions to another grid: bicubic, with antialias.

    The class token's position, the first, stays as it is.

    Args:
        positions: float32 array ``(1, 1 + rows · columns, dim)`` of the old grid.
        old_grid: ``(rows, columns)`` of ``positions``.
        new_grid: ``(rows, columns)`` wanted.

    Returns:
        A float32 array ``(1, 1 + new rows · new columns, dim)``.

    Example:
        >>> import numpy
        >>> from keras_tnt.weights.resample import resample_patch_positions
        >>> resample_patch_positions(numpy.ones((1, 17, 48)), (4, 4), (3, 5)).shape
        (1, 16, 48)
    """
    positions = np.asarray(positions, "float32")
    patches = resample_tokens(positions[:, 1:], old_grid, new_grid)
    return np.concatenate([positions[:, :1], patches], axis=1)


def resample_tokens(tokens: ArrayLike, old_grid: Grid, new_grid: Grid) -> np.ndarray:
    """Resample vectors on a grid to another grid: bicubic, with antialias.

    Args:
        tokens: float32 array ``(batch, rows · columns, dim)`` of the old grid.
        old_grid: ``(rows, columns)`` of ``tokens``.
        new_grid: ``(rows, columns)`` wanted.

    Returns:
        A float32 array ``(batch, new rows · new columns, dim)``.

    Example:
        >>> import numpy
        >>> from keras_tnt.weights.resample import resample_tokens
        >>> resample_tokens(numpy.ones((1, 16, 48)), (4, 4), (3, 5)).shape
        (1, 15, 48)
    """
    tokens = np.asarray(tokens, "float32")
    if tuple(old_grid) == tuple(new_grid):
        return tokens
    batch, _, dim = tokens.shape
    resized = ops.image.resize(
        tokens.reshape(batch, *old_grid, dim),
        tuple(new_grid),
        interpolation="bicubic",
        antialias=True,
        data_format="channels_last",
    )
    return ops.convert_to_numpy(resized).reshape(batch, -1, dim)


def resample_position_bias(
    bias: np.ndarray, old_grids: Sequence[Grid], new_grids: Sequence[Grid]
) -> np.ndarray:
    """Resample a relative position bias over queries and over keys.

    Args:
        bias: float32 array ``(1, heads, queries, keys)``.
        old_grids: the grids, ``(rows, columns)``, of queries and of keys.
        new_grids: those wanted.

    Returns:
        A float32 array ``(1, heads, new queries, new keys)``.

    Example:
        >>> import numpy
        >>> from keras_tnt.weights.resample import resample_position_bias
        >>> bias = numpy.ones((1, 2, 16, 4))
        >>> resample_position_bias(bias, [(4, 4), (2, 2)], [(6, 4), (3, 2)]).shape
        (1, 2, 24, 6)
    """
    values = bias[0]
    for old_grid, new_grid in zip(
        reversed(old_grids), reversed(new_grids), strict=True
    ):
        values = resample_tokens(values.transpose(0, 2, 1), old_grid, new_grid)
    return values[None]
