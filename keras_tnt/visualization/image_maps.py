"""Attention as maps over the patches of an image and the pixels of a patch."""

import math
from collections.abc import Iterable

import keras
import numpy as np

from keras_tnt.utils.counts import check_size
from keras_tnt.visualization.attention_maps import (
    AttentionMaps,
    has_class_token,
    select_block,
)


def class_token_map(
    outer: np.ndarray, grid: tuple[int, int], size: tuple[int, int] | None = None
) -> np.ndarray:
    """Return the attention of the class token in one block (paper, Figure 7).

    It is averaged over the heads.

    Args:
        outer: attention of one block of a TNT, ``(batch, heads, 1 + patches,
            1 + patches)``, or the result of `attention_rollout`, without heads.
        grid: ``(rows, columns)`` of patches.
        size: ``(height, width)`` of the resized maps, such as that of the images.

    Returns:
        A float32 array ``(batch, rows, columns)``, or ``(batch, height, width)``,
        scaled to a maximum of 1.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization import class_token_map
        >>> class_token_map(numpy.full((2, 3, 9, 9), 1 / 9), (2, 4)).shape
        (2, 2, 4)
        >>> class_token_map(numpy.full((2, 9, 9), 1 / 9), (2, 4), (32, 64)).shape
        (2, 32, 64)
    """
    tokens = outer.mean(axis=1) if outer.ndim == 4 else outer
    return _finish(tokens[:, 0, 1:].reshape(-1, *grid), size)


def block_map(
    maps: AttentionMaps,
    block: int,
    patch: tuple[int, int] | None = None,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Return the attention of one block, averaged over the heads.

    The query is ``patch``, if given; otherwise the class token, or in a PyramidTNT the
    mean of all patches. A pooled key of a PyramidTNT counts for all patches of its
    square.

    Args:
        maps: `AttentionMaps`.
        block: a block, counted from 1.
        patch: ``(row, column)`` of the query, counted from 0.
        size: ``(height, width)`` of the resized maps, such as that of the images.

    Returns:
        A float32 array ``(batch, rows, columns)``, or ``(batch, height, width)``,
        scaled to a maximum of 1.

    Raises:
        ValueError: if there is no such block or patch.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import block_map
        >>> model = keras_tnt.PyramidTNT(16, 4, (1, 1, 1, 1), 2, 1, classes=7,
        ...                              input_shape=(64, 96, 3))
        >>> maps = keras_tnt.attention_maps(model, numpy.zeros((2, 64, 96, 3)))
        >>> block_map(maps, block=1).shape, block_map(maps, 2, patch=(3, 5)).shape
        ((2, 8, 12), (2, 4, 6))
    """
    outer = select_block(maps.outer, block, "no attention").mean(axis=1)
    grid = maps.grids[block]
    first = int(has_class_token(maps))  # where the patches begin
    if patch is not None:
        weights = outer[:, first + _index(patch, grid)]
    elif first:
        weights = outer[:, 0]
    else:
        weights = outer.mean(axis=1)
    return _finish(_on_patches(weights[:, first:], maps, block), size)


def patch_attention(maps: AttentionMaps, block: int) -> np.ndarray:
    """Return the attention between all patches of one block (paper, Figure 6).

    It is averaged over the heads and not scaled. The class token of a TNT is left out.
    A pooled key of a PyramidTNT counts for all patches of its square.

    Args:
        maps: `AttentionMaps`.
        block: a block, counted from 1.

    Returns:
        A float32 array ``(batch, patches, patches)``: a row for each patch that
        attends, a column for each that is attended to, both counted row by row.

    Raises:
        ValueError: if there is no such block.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import patch_attention
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> maps = keras_tnt.attention_maps(model, numpy.zeros((2, 32, 64, 3)))
        >>> patch_attention(maps, block=2).shape
        (2, 8, 8)
    """
    outer = select_block(maps.outer, block, "no attention").mean(axis=1)
    first = int(has_class_token(maps))  # where the patches begin
    weights = outer[:, first:, first:]
    batch, patches, keys = weights.shape
    on_patches = _on_patches(weights.reshape(-1, keys), maps, block)
    return on_patches.reshape(batch, patches, patches)


def _on_patches(weights, maps, block):
    """Give each patch the weight of the square that it is pooled in; 0 without one."""
    (rows, columns), ratio = maps.grids[block], maps.sr_ratios[block]
    weights = weights.reshape(-1, rows // ratio, columns // ratio)
    weights = weights.repeat(ratio, axis=1).repeat(ratio, axis=2)
    margins = (rows - weights.shape[1], columns - weights.shape[2])
    return np.pad(weights, ((0, 0), (0, margins[0]), (0, margins[1])))


def default_blocks(maps: Iterable[int]) -> list[int]:
    """Return the first, the middle and the last block of attention or features."""
    last = max(maps)
    return sorted({1, (1 + last) // 2, last})


def most_attended_patch(maps: AttentionMaps, block: int) -> tuple[int, int]:
    """Return the patch of the first image that a block attends to most.

    Args:
        maps: `AttentionMaps`.
        block: a block, counted from 1.

    Returns:
        ``(row, column)``, counted from 0 on the grid of the first block.

    Raises:
        ValueError: if there is no such block.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization import AttentionMaps, most_attended_patch
        >>> outer = numpy.full((1, 1, 7, 7), 0.1)
        >>> outer[..., 6] = 0.4
        >>> most_attended_patch(AttentionMaps({1: outer}, {}, {1: (2, 3)}, {1: 1}), 1)
        (1, 2)
    """
    weights = block_map(maps, block)[0]
    best = divmod(int(weights.argmax()), int(weights.shape[1]))
    return map_patch(best, maps.grids[block], maps.grids[1])


def inside_patch(maps: AttentionMaps, block: int, patch: tuple[int, int]) -> np.ndarray:
    """Return the inner attention of one patch (paper, Figure 5).

    Args:
        maps: `AttentionMaps`.
        block: a block with an inner transformer, counted from 1.
        patch: ``(row, column)`` of the patch, counted from 0.

    Returns:
        A float32 array ``(batch, heads, pixels, pixels)``, rows sum to one;
        `on_pixel_grid` arranges the attended pixels as in the patch.

    Raises:
        ValueError: if there is no such block or patch, or the block has no inner
            transformer.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import inside_patch, on_pixel_grid
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> maps = keras_tnt.attention_maps(model, numpy.zeros((1, 32, 64, 3)))
        >>> inside = inside_patch(maps, block=2, patch=(1, 3))
        >>> inside.shape, on_pixel_grid(inside).shape
        ((1, 4, 16, 16), (1, 4, 16, 4, 4))
    """
    inner = select_block(maps.inner, block, "no inner transformer")
    return inner[:, _index(patch, maps.grids[block])]


def on_pixel_grid(weights: np.ndarray) -> np.ndarray:
    """Arrange the pixels of a patch, the last axis, in rows and columns.

    Args:
        weights: an array ``(…, pixels)``, the pixels of a square patch row by row.

    Returns:
        The array as ``(…, side, side)``.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization import on_pixel_grid
        >>> on_pixel_grid(numpy.arange(4))
        array([[0, 1],
               [2, 3]])
    """
    side = math.isqrt(weights.shape[-1])
    return weights.reshape(*weights.shape[:-1], side, side)


def resize_maps(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize maps over the patches to the size of an image, bilinear.

    Args:
        maps: an array ``(batch, rows, columns)``.
        size: ``(height, width)``.

    Returns:
        A float32 array ``(batch, height, width)``.

    Raises:
        ValueError: if ``size`` is not whole numbers of at least 1.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization import resize_maps
        >>> resize_maps(numpy.ones((2, 4, 4)), (64, 64)).shape
        (2, 64, 64)
    """
    resized = keras.ops.image.resize(
        maps[..., None].astype("float32"),
        check_size("size", size),
        data_format="channels_last",
    )
    return keras.ops.convert_to_numpy(resized)[..., 0]


def map_patch(
    patch: tuple[int, int], grid: tuple[int, int], other: tuple[int, int]
) -> tuple[int, int]:
    """Return the patch of another grid at the same position of the image."""
    row, column = (
        place * there // here
        for place, here, there in zip(patch, grid, other, strict=True)
    )
    return row, column


def _finish(weights, size):
    """Scale each map to a maximum of 1, and resize it to a given size."""
    highest = weights.max(axis=(1, 2), keepdims=True)
    weights = (weights / np.where(highest > 0, highest, 1)).astype("float32")
    return weights if size is None else resize_maps(weights, size)


def _index(patch, grid):
    """The index of a patch, counted row by row."""
    inside = all(0 <= place < side for place, side in zip(patch, grid, strict=True))
    if not inside:
        raise ValueError(
            f"There is no patch {tuple(patch)}: expected a row and a column, counted "
            f"from 0, within {grid[0]}x{grid[1]} patches."
        )
    return patch[0] * grid[1] + patch[1]
