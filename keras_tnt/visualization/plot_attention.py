"""Plots of attention: over an image, by head, between patches, inside one patch."""

import math
from collections.abc import Sequence

import numpy as np

from keras_tnt.images.preprocess import check_scale
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.typing import PathLike
from keras_tnt.visualization.attention_maps import (
    AttentionMaps,
    attention_rollout,
    has_class_token,
)
from keras_tnt.visualization.figure import (
    HEATMAP_STYLE,
    image_axes_size,
    new_figure,
    save_figure,
    show_image,
    show_overlay,
    without_ticks,
)
from keras_tnt.visualization.image_maps import (
    block_map,
    class_token_map,
    inside_patch,
    map_patch,
    on_pixel_grid,
    patch_attention,
)

INNER_ATTENTION_TITLES = (
    "pixels by pixels",
    "what each pixel attends to",
    "attended to by all",
)


def plot_attention_overlays(
    maps: AttentionMaps,
    image: np.ndarray,
    blocks: Sequence[int],
    path: PathLike,
    title: str = "image",
) -> None:
    """Plot the attention of blocks over the image, and the rollout of a TNT.

    Args:
        maps: `AttentionMaps`; the first image is plotted.
        image: that image, ``(height, width, channels)``, 0-255.
        blocks: the blocks to plot, counted from 1.
        path: the PNG file to write.
        title: title of the image.

    Raises:
        ValueError: if there is no such block, or the image looks scaled to 0-1.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import plot_attention_overlays
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> images = numpy.zeros((1, 32, 64, 3), "uint8")
        >>> maps = keras_tnt.attention_maps(model, images)
        >>> plot_attention_overlays(maps, images[0], [1, 2], "overlay.png")
    """
    blocks = as_list("blocks", blocks)
    check_scale(image)
    size = image.shape[:2]
    titles = [f"block {block}" for block in blocks]
    overlays = [block_map(maps, block, size=size)[0] for block in blocks]
    if has_class_token(maps):
        titles.append("rollout")
        grid = maps.grids[1]
        overlays.append(class_token_map(attention_rollout(maps), grid, size)[0])
    figure, axes = new_figure(
        1, 1 + len(overlays), image_axes_size(size, 2.2), each=True
    )
    show_image(axes[0][0], image)
    axes[0][0].set_title(title, fontsize=9)
    for axis, overlay, name in zip(axes[0][1:], overlays, titles, strict=True):
        show_overlay(axis, image, overlay)
        axis.set_title(name, fontsize=9)
    without_ticks(axes)
    save_figure(figure, path)


def plot_attention_heads(
    maps: AttentionMaps, image: np.ndarray, blocks: Sequence[int], path: PathLike
) -> None:
    """Plot the attention of each head, a row for a block and a column for a head.

    Args:
        maps: `AttentionMaps`; the first image is plotted.
        image: that image, ``(height, width, channels)``, 0-255.
        blocks: the blocks to plot, counted from 1.
        path: the PNG file to write.

    Raises:
        ValueError: if there is no such block, or the image looks scaled to 0-1.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import plot_attention_heads
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> images = numpy.zeros((1, 32, 64, 3), "uint8")
        >>> maps = keras_tnt.attention_maps(model, images)
        >>> plot_attention_heads(maps, images[0], [1, 2], "heads.png")
    """
    blocks = as_list("blocks", blocks)
    check_scale(image)
    size = image.shape[:2]
    columns = max(outer.shape[1] for outer in maps.outer.values())
    figure, axes = new_figure(
        len(blocks), columns, image_axes_size(size, 1.6), each=True
    )
    for row, block in zip(axes, blocks, strict=True):
        block_map(maps, block)  # its error, if there is no such block
        outer = maps.outer[block]
        row[0].set_ylabel(f"block {block}")
        for head, axis in enumerate(row):
            if head >= outer.shape[1]:
                axis.set_axis_off()
                continue
            alone = maps._replace(outer={block: outer[:, head : head + 1]})
            axis.imshow(block_map(alone, block)[0], **HEATMAP_STYLE)
            axis.set_title(f"head {head + 1}", fontsize=8)
    without_ticks(axes)
    save_figure(figure, path)


def plot_patch_attention(
    maps: AttentionMaps, blocks: Sequence[int], path: PathLike
) -> None:
    """Plot the attention between all patches of some blocks (paper, Figure 6).

    A matrix for each block: rows attend, columns are attended to, both counted row by
    row. Each matrix has its own scale, from 0 to its highest value.

    Args:
        maps: `AttentionMaps`; the first image is plotted.
        blocks: the blocks to plot, counted from 1.
        path: the PNG file to write.

    Raises:
        ValueError: if there is no such block.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import plot_patch_attention
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> maps = keras_tnt.attention_maps(model, numpy.zeros((1, 32, 64, 3)))
        >>> plot_patch_attention(maps, [1, 2], "patches.png")
    """
    blocks = as_list("blocks", blocks)
    matrices = [patch_attention(maps, block)[0] for block in blocks]
    figure, axes = new_figure(1, len(blocks), (2.6, 2.85), each=True)
    for axis, block, matrix in zip(axes[0], blocks, matrices, strict=True):
        axis.imshow(matrix, cmap="inferno", vmin=0)
        axis.set_title(f"block {block}", fontsize=9)
        axis.set_xlabel("attended to", fontsize=8)
    axes[0][0].set_ylabel("patches that attend", fontsize=8)
    without_ticks(axes)
    save_figure(figure, path)


def plot_inner_attention(
    maps: AttentionMaps,
    image: np.ndarray,
    blocks: Sequence[int],
    patch: tuple[int, int],
    path: PathLike,
) -> None:
    """Plot one patch, and the inner attention of its pixels (paper, Figure 5).

    A row for each block, averaged over the heads: queries (rows) by keys (columns); the
    same as a map of the patch at the position of each query; and the attention that
    each pixel receives from all.

    Args:
        maps: `AttentionMaps`; the first image is plotted.
        image: that image, ``(height, width, channels)``, 0-255.
        blocks: the blocks to plot, counted from 1, all with an inner transformer.
        patch: ``(row, column)`` of the patch, counted from 0 on the grid of the first
            block. In later blocks of a PyramidTNT it is the patch that contains it.
        path: the PNG file to write.

    Raises:
        ValueError: if there is no such block or patch, a block has no inner
            transformer, or the image looks scaled to 0-1.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import plot_inner_attention
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> images = numpy.zeros((1, 32, 64, 3), "uint8")
        >>> maps = keras_tnt.attention_maps(model, images)
        >>> plot_inner_attention(maps, images[0], [1, 2], (0, 3), "patch.png")
    """
    blocks = as_list("blocks", blocks)
    check_scale(image)
    grid = maps.grids[1]
    inside = [
        inside_patch(maps, block, map_patch(patch, grid, maps.grids[block]))[0]
        for block in blocks
    ]
    figure, axes = new_figure(1 + len(blocks), 3, (2.4, 2.5), each=True)
    _show_place(axes[0], maps, image, patch)
    for row, block, weights in zip(axes[1:], blocks, inside, strict=True):
        weights = weights.mean(axis=0)
        side = math.isqrt(len(weights))
        by_place = on_pixel_grid(weights).reshape([side] * 4).swapaxes(1, 2)
        row[0].imshow(weights, cmap="viridis")
        row[1].imshow(by_place.reshape(weights.shape), cmap="viridis")
        for line in range(1, side):
            row[1].axhline(line * side - 0.5, color="white", linewidth=1)
            row[1].axvline(line * side - 0.5, color="white", linewidth=1)
        row[2].imshow(on_pixel_grid(weights.mean(axis=0)), cmap="viridis")
        row[0].set_ylabel(f"block {block}")
        for axis, name in zip(row, INNER_ATTENTION_TITLES, strict=True):
            axis.set_title(name, fontsize=8)
    without_ticks(axes)
    save_figure(figure, path)


def _show_place(axes, maps, image, patch):
    """Show the image and the last block's map with the patch marked, and the patch."""
    rows, columns = maps.grids[1]
    height, width = image.shape[0] // rows, image.shape[1] // columns
    top, left = patch[0] * height, patch[1] * width
    show_image(axes[0], image)
    overlay = block_map(maps, max(maps.outer), size=image.shape[:2])[0]
    show_overlay(axes[1], image, overlay)
    show_image(axes[2], image[top : top + height, left : left + width])
    for axis in axes[:2]:
        across = [left, left + width, left + width, left, left]
        down = [top, top, top + height, top + height, top]
        axis.plot(np.subtract(across, 0.5), np.subtract(down, 0.5), color="cyan")
    names = ("image", f"block {max(maps.outer)}", f"patch {patch[0]},{patch[1]}")
    for axis, name in zip(axes, names, strict=True):
        axis.set_title(name, fontsize=8)
