"""What has to hold of weights, whatever kind of file they come from."""

import logging

import numpy as np

from keras_tnt.weights.resample import resample_patch_positions, source_grid

logger = logging.getLogger("keras_tnt")


def patch_grid(model):
    """Returns ``(rows, columns)`` of a TNT's patches."""
    embedding = model.get_layer("pixel_embedding")
    _, height, width, _ = embedding.input.shape
    return height // embedding.patch_size, width // embedding.patch_size


def fit_positions(model, positions, recorded_grid, name):
    """Resamples patch positions to a TNT's grid of patches.

    Args:
        model: the TNT.
        positions: array ``(1, 1 + patches, dim)``; of another width it is given back
            as it is, for the check of shapes to refuse.
        recorded_grid: ``(rows, columns)`` if the source says it, else ``None``.
        name: what the source calls the positions.

    Returns:
        The array for the model's grid.

    Raises:
        ValueError: if the positions' grid cannot be told.
    """
    width = model.get_layer("patch_embedding").dim
    if positions.ndim != 3 or positions.shape[-1] != width:
        return positions
    grid = patch_grid(model)
    old_grid = source_grid(positions.shape[1] - 1, grid, recorded_grid)
    if old_grid is None:
        raise ValueError(
            f"Tensor {name!r} has {positions.shape[1] - 1} positions, which is no "
            f"square, nor the model's {grid[0]}x{grid[1]} patches: its grid cannot be "
            "told. Load it into a model of its own image size, and save that as .keras "
            "or with keras_tnt.save_upstream_weights, which record the grid."
        )
    check_finite([(name, positions)], "The file")
    return resample_patch_positions(positions, old_grid, grid)


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
