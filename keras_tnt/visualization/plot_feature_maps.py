"""Plots of single channels, of their t-SNE, and of pixels averaged over channels."""

from collections.abc import Sequence

import numpy as np

from keras_tnt.images.preprocess import check_scale
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.counts import check_count
from keras_tnt.utils.typing import PathLike
from keras_tnt.visualization.block_features import BlockFeatures
from keras_tnt.visualization.feature_maps import (
    feature_map_tsne,
    feature_maps,
    mean_pixel_map,
)
from keras_tnt.visualization.figure import (
    check_images,
    image_axes_size,
    new_figure,
    save_figure,
    show_image,
    without_ticks,
)


def plot_feature_maps(
    features: BlockFeatures,
    image: np.ndarray,
    blocks: Sequence[int],
    path: PathLike,
    channels: int = 12,
    seed: int = 0,
) -> None:
    """Plot random channels of the patches after some blocks (paper, Figure 3a).

    A row for each block. Each map has its own scale, from its lowest to its highest
    value.

    Args:
        features: `BlockFeatures`; the first image is plotted.
        image: that image, ``(height, width, channels)``, 0-255.
        blocks: the blocks to plot, counted from 1; 1, 6 and 12 in the paper.
        path: the PNG file to write.
        channels: number of channels to draw for each block; all if it has fewer.
        seed: seed of the choice of channels.

    Raises:
        ValueError: if there is no such block, ``channels`` is less than 1, or the image
            looks scaled to 0-1.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import block_features, plot_feature_maps
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> images = numpy.zeros((1, 32, 64, 3), "uint8")
        >>> features = block_features(model, images)
        >>> plot_feature_maps(features, images[0], [1, 2], "maps.png", channels=4)
    """
    check_scale(image)
    channels = check_count("channels", channels)
    blocks = as_list("blocks", blocks)
    rng = np.random.default_rng(seed)
    maps = [feature_maps(features, block)[0] for block in blocks]
    columns = 1 + min(channels, max(map(len, maps)))
    size = image_axes_size(image.shape[:2], 1.2)
    figure, axes = new_figure(len(blocks), columns, size, each=True)
    show_image(axes[0][0], image)
    for axis in axes[1:, 0]:
        axis.set_axis_off()
    for row, block, block_maps in zip(axes, blocks, maps, strict=True):
        row[1].set_ylabel(f"block {block}")
        chosen = rng.permutation(len(block_maps))[: columns - 1]
        for axis, channel in zip(row[1:], sorted(chosen), strict=False):
            axis.imshow(block_maps[channel], cmap="viridis")
            axis.set_title(f"channel {channel}", fontsize=7)
        for axis in row[1 + len(chosen) :]:
            axis.set_axis_off()
    without_ticks(axes)
    save_figure(figure, path)


def plot_feature_map_tsne(
    features: BlockFeatures, blocks: Sequence[int], path: PathLike, seed: int = 0
) -> None:
    """Plot t-SNE layouts of the feature maps of some blocks (paper, Figure 3b).

    A point is a channel of the patches of the first image.

    Args:
        features: `BlockFeatures`; the first image is plotted.
        blocks: the blocks to plot, counted from 1; 12 in the paper.
        path: the PNG file to write.
        seed: seed of the layouts.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if there is no such block, or it has a single patch.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import block_features, plot_feature_map_tsne
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> features = block_features(model, numpy.zeros((1, 32, 64, 3)))
        >>> plot_feature_map_tsne(features, [2], "layout.png")
    """
    blocks = as_list("blocks", blocks)
    layouts = [feature_map_tsne(features, block, seed=seed) for block in blocks]
    figure, axes = new_figure(1, len(blocks), (3.2, 3.4), each=True)
    for axis, block, layout in zip(axes[0], blocks, layouts, strict=True):
        axis.scatter(*layout.T, s=6)
        axis.set_title(f"{len(layout)} feature maps, block {block}", fontsize=9)
    without_ticks(axes)
    save_figure(figure, path)


def plot_mean_pixels(
    features: BlockFeatures, images: np.ndarray, blocks: Sequence[int], path: PathLike
) -> None:
    """Plot the pixels after some blocks, averaged over channels (paper, Figure 4).

    A row for each image: the image, then its map after each block. Each map has its own
    scale, from its lowest to its highest value.

    Args:
        features: `BlockFeatures`.
        images: the images, ``(batch, height, width, channels)``, 0-255.
        blocks: the blocks to plot, counted from 1, all with an inner transformer.
        path: the PNG file to write.

    Raises:
        ValueError: if there is no such block, it has no inner transformer, there are
            more or fewer images than features, or the images look scaled to 0-1.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import block_features, plot_mean_pixels
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> images = numpy.zeros((1, 32, 64, 3), "uint8")
        >>> features = block_features(model, images)
        >>> plot_mean_pixels(features, images, [1, 2], "pixels.png")
    """
    check_scale(images)
    blocks = as_list("blocks", blocks)
    maps = [mean_pixel_map(features, block) for block in blocks]
    check_images(images, len(next(iter(features.patches.values()))))
    size = image_axes_size(images.shape[1:3], 1.8)
    figure, axes = new_figure(len(images), 1 + len(blocks), size, each=True)
    for row, image in zip(axes, images, strict=True):
        show_image(row[0], image)
    for column, block, block_maps in zip(axes.T[1:], blocks, maps, strict=True):
        column[0].set_title(f"pixels, block {block}", fontsize=8)
        for axis, one in zip(column, block_maps, strict=True):
            axis.imshow(one, cmap="viridis")
    without_ticks(axes)
    save_figure(figure, path)
