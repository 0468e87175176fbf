"""What has to hold of weights, whatever kind of file they come from."""

import logging

import numpy as np

from keras_tnt.structure import patch_grid
from keras_tnt.weights.resample import source_grid

logger = logging.getLogger("keras_tnt")


def grid_of_positions(model, count, recorded_grid, name):
    """Tells the grid that a file's patch positions belong to.

    Args:
        model: the model to load them into.
        count: number of positions, the class token's not counted.
        recorded_grid: ``(rows, columns)`` if the file says it, else ``None``.
        name: what the file calls the positions.

    Returns:
        ``(rows, columns)``.

    Raises:
        ValueError: if the grid cannot be told.
    """
    grid = patch_grid(model)
    old_grid = source_grid(count, grid, recorded_grid)
    if old_grid is None:
        raise ValueError(
            f"Tensor {name!r} has {count} positions, which is no square, nor the "
            f"model's {grid[0]}x{grid[1]} patches: its grid cannot be told. Load it "
            "into a model of its own image size, and save that as .keras or with "
            "keras_tnt.save_upstream_weights, which record the grid."
        )
    return old_grid


def check_finite(named_values, where):
    """Raises a `ValueError` that names the first tensor with NaN or infinity."""
    for name, value in named_values:
        if not np.isfinite(value).all():
            raise ValueError(
                f"{where} has NaN or infinite values, first in tensor {name!r}: it is "
                "damaged, or its training diverged. Get it again or use an earlier one."
            )


def report_kept_head(model, classes, stored_classes):
    """Tells the user that the model's head was not loaded."""
    logger.warning(
        "The head of %r (%d classes) keeps its values: the weights come %s.",
        model.name,
        classes,
        f"with {stored_classes} classes" if stored_classes else "without a head",
    )
