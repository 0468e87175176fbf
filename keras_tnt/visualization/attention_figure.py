"""The figure of the demo and the web page: attention over an image, inside a patch."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_tnt.images.preprocess import check_scale
from keras_tnt.visualization.attention_maps import AttentionMaps
from keras_tnt.visualization.figure import (
    HEATMAP_STYLE,
    image_axes_size,
    new_figure,
    require_matplotlib,
    show_image,
    without_ticks,
)
from keras_tnt.visualization.image_maps import (
    block_map,
    inside_patch,
    map_patch,
    on_pixel_grid,
)

PANEL_TITLES = (
    "image",
    "where the model looks",
    "outlined patch, enlarged",
    "where it looks inside",
)
PANEL_WIDTH = 2.6  # inches
FONT_SIZE = 12
OUTLINE = "deepskyblue"


class AttentionView(NamedTuple):
    """The attention of one block that the figure shows for one image.

    Attributes:
        weights: the `keras_tnt.visualization.block_map` of the image,
            ``(rows, columns)``, at most 1.
        inside: the attention that the pixels of the most attended patch receive,
            ``(side, side)``, on average over heads and queries; None in a block without
            an inner transformer.
    """

    weights: np.ndarray
    inside: np.ndarray | None


def attention_view(
    maps: AttentionMaps, block: int, index: int = 0, inner_block: int | None = None
) -> AttentionView:
    """Return the attention of one block for one image.

    Args:
        maps: `AttentionMaps`.
        block: the block, counted from 1.
        index: the image of the batch, counted from 0.
        inner_block: the block of the inner transformer; by default ``block``.

    Returns:
        An `AttentionView`.

    Raises:
        ValueError: if there is no such block.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization.attention_figure import attention_view
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> maps = keras_tnt.attention_maps(model, numpy.zeros((1, 32, 64, 3)))
        >>> view = attention_view(maps, block=2)
        >>> view.weights.shape, view.inside.shape
        ((2, 4), (4, 4))
    """
    weights = block_map(maps, block)[index]
    inner_block = inner_block or block
    if inner_block not in maps.inner:
        return AttentionView(weights, None)
    patch = map_patch(_highest(weights), maps.grids[block], maps.grids[inner_block])
    inside = inside_patch(maps, inner_block, patch)[index]
    return AttentionView(weights, on_pixel_grid(inside.mean(axis=(0, 1))))


def attention_figure(
    images: Sequence[np.ndarray],
    views: Sequence[AttentionView],
    titles: Sequence[str] = (),
    columns: int = 4,
) -> Any:
    """Create the figure of some images, with four panels for each.

    The panels are the image, with an outline around the patch that the model attends to
    most; the attention over the image; that patch; and the attention that its pixels
    receive. Without attention inside a patch there are the first two.

    Args:
        images: arrays ``(height, width, channels)`` of one size, 0-255.
        views: an `AttentionView` for each image.
        titles: a title for each image, or none.
        columns: panels in a row, 4 or 2.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the images look scaled to 0-1.
        ImportError: if matplotlib is not installed.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization.attention_figure import (
        ...     AttentionView, attention_figure)
        >>> view = AttentionView(numpy.eye(2), numpy.ones((4, 4)))
        >>> figure = attention_figure([numpy.zeros((32, 32, 3), "uint8")], [view])
        >>> figure.axes[0].get_title()
        'image'
    """
    check_scale(np.asarray(images))
    panels = 4 if any(view.inside is not None for view in views) else 2
    columns = min(columns, panels)
    rows = len(images) * panels // columns
    width, height = image_axes_size(images[0].shape[:2], PANEL_WIDTH)
    size = (width * columns, height * rows + 1)  # and the color bar
    figure, axes = new_figure(rows, columns, size)
    figure.set_layout_engine("compressed")  # the panels keep the shape of the image
    axes = axes.reshape(len(images), panels)
    for axis, title in zip(axes[0], PANEL_TITLES, strict=False):
        axis.set_title(title, fontsize=FONT_SIZE)
    for row, image, view in zip(axes, images, views, strict=True):
        _show_view(row, image, view)
    for row, title in zip(axes, titles, strict=False):
        row[0].set_ylabel(title, fontsize=FONT_SIZE)
    heat = require_matplotlib().cm.ScalarMappable(cmap=HEATMAP_STYLE["cmap"])
    heat.set_clim(HEATMAP_STYLE["vmin"], HEATMAP_STYLE["vmax"])
    place = {"location": "bottom", "shrink": 0.6, "aspect": 30}
    bar = figure.colorbar(heat, ax=axes, ticks=[0, 0.5, 1], **place)
    bar.ax.set_xticklabels(["none", "half", "most"], fontsize=FONT_SIZE)
    bar.set_label("attention: brighter means more", fontsize=FONT_SIZE)
    without_ticks(axes)
    return figure


def _show_view(axes, image, view):
    """Fill the panels of one image."""
    height, width = image.shape[:2]
    rows, columns = view.weights.shape
    patch = _highest(view.weights)
    top, bottom = (height * row // rows for row in (patch[0], patch[0] + 1))
    left, right = (width * column // columns for column in (patch[1], patch[1] + 1))
    show_image(axes[0], image)
    show_image(axes[1], image)
    edges = (-0.5, width - 0.5, height - 0.5, -0.5)  # pixels are centered on integers
    axes[1].imshow(view.weights, alpha=0.6, extent=edges, **HEATMAP_STYLE)
    for axis in axes[:2]:
        outline = require_matplotlib().patches.Rectangle(
            (left - 0.5, top - 0.5),
            right - left,
            bottom - top,
            fill=False,
            color=OUTLINE,
            linewidth=3,
        )
        axis.add_patch(outline)
    if view.inside is None:
        return
    show_image(axes[2], image[top:bottom, left:right])
    inside = view.inside / view.inside.max()
    axes[3].set_xlabel(f"{100 * inside.min():.0f} to 100 % of the most", fontsize=10)
    axes[3].imshow(inside, **HEATMAP_STYLE)


def _highest(weights):
    """Return row and column of the highest weight."""
    row, column = divmod(int(weights.argmax()), weights.shape[1])
    return row, column
