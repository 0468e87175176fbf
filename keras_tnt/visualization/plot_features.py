"""Plots of features, t-SNE layouts and saliency."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.images.preprocess import check_scale
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.typing import PathLike
from keras_tnt.visualization.attention_maps import select_block
from keras_tnt.visualization.block_features import (
    BlockFeatures,
    features_to_rgb,
    pixel_map,
    tsne,
)
from keras_tnt.visualization.figure import (
    check_images,
    new_figure,
    save_figure,
    show_image,
    show_overlay,
    without_ticks,
)
from keras_tnt.visualization.image_maps import resize_maps


def plot_features(
    features: BlockFeatures, images: np.ndarray, blocks: Sequence[int], path: PathLike
) -> None:
    """Plot patches and pixels after some blocks; similar features have similar colors.

    A row for each image: the image, then for each block its patches, and its pixels
    if it has an inner transformer. Colors are comparable within a column.

    Args:
        features: `BlockFeatures`.
        images: the images, ``(batch, height, width, channels)``, 0-255.
        blocks: the blocks to plot, counted from 1.
        path: the PNG file to write.

    Raises:
        ValueError: if there is no such block, there are more or fewer images than
            features, or the images look scaled to 0-1.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import block_features, plot_features
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> images = numpy.zeros((1, 32, 64, 3), "uint8")
        >>> features = block_features(model, images)
        >>> plot_features(features, images, [1, 2], "features.png")
    """
    check_scale(images)
    columns = []
    for block in as_list("blocks", blocks):
        patches = select_block(features.patches, block, "no features")
        check_images(images, len(patches))
        columns.append((f"patches, block {block}", features_to_rgb(patches)))
        if block in features.pixels:
            pixels = pixel_map(features.pixels[block], patches.shape[1:3])
            columns.append((f"pixels, block {block}", features_to_rgb(pixels)))
    figure, axes = new_figure(len(images), 1 + len(columns), (1.5, 1.55), each=True)
    for row, image in zip(axes, images, strict=True):
        show_image(row[0], image)
    for column, (name, colors) in zip(axes.T[1:], columns, strict=True):
        column[0].set_title(name, fontsize=8)
        for axis, color_map in zip(column, colors, strict=True):
            axis.imshow(color_map)
    without_ticks(axes)
    save_figure(figure, path)


def plot_tsne(
    layers: dict[int, np.ndarray],
    labels: ArrayLike,
    names: Sequence[str],
    path: PathLike,
    seed: int = 0,
) -> None:
    """Plot t-SNE layouts of samples, one for each of several layers.

    Args:
        layers: dict from titles to features of the same samples, ``(samples, dim)``.
        labels: classes of the samples, shown in ten colors, or floats, shown as shades.
        names: names of the classes, or the meaning of the floats.
        path: the PNG file to write.
        seed: seed of the layouts.

    Raises:
        ImportError: if scikit-learn is not installed.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization import plot_tsne
        >>> features = numpy.random.default_rng(0).normal(size=(20, 8))
        >>> plot_tsne({"noise": features}, [0, 1] * 10, ["a", "b"], "layout.png")
    """
    labels = np.asarray(labels)
    figure, axes = new_figure(1, len(layers), (3.2, 3.4), each=True)
    shades = np.issubdtype(labels.dtype, np.floating)
    colors = "viridis" if shades else "tab10"
    for axis, (title, features) in zip(axes[0], layers.items(), strict=True):
        layout = tsne(features, seed)
        points = axis.scatter(*layout.T, c=labels, s=6, cmap=colors)
        axis.set_title(title, fontsize=9)
    without_ticks(axes)
    if shades:
        figure.colorbar(points, ax=axes[0], label=names)
    else:
        handles, _ = points.legend_elements(num=None)
        figure.legend(handles, names, loc="outside right center", fontsize=7)
    save_figure(figure, path)


def plot_saliency(
    images: np.ndarray,
    titles: Sequence[str],
    cams: np.ndarray,
    shares: np.ndarray,
    path: PathLike,
) -> None:
    """Plot the patches and pixels that contribute to a class.

    Args:
        images: array ``(batch, height, width, channels)``, 0-255.
        titles: a title for each image, such as the class.
        cams: result of `grad_cam`, ``(batch, rows, columns)``.
        shares: result of `integrated_gradients`, of the images' shape; red is for the
            class, blue against it.
        path: the PNG file to write.

    Raises:
        ValueError: if the images look scaled to 0-1.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization import plot_saliency
        >>> images = numpy.zeros((1, 32, 64, 3), "uint8")
        >>> plot_saliency(images, ["night"], numpy.ones((1, 2, 4)), images, "why.png")
    """
    check_scale(images)
    figure, axes = new_figure(3, len(images), (1.6, 1.75), each=True)
    overlays = resize_maps(cams, images.shape[1:3])
    shares = shares.astype("float32").sum(axis=-1)
    for column, image, title, overlay, share in zip(
        axes.T, images, titles, overlays, shares, strict=True
    ):
        show_image(column[0], image)
        column[0].set_title(title, fontsize=8)
        show_overlay(column[1], image, overlay)
        # A few pixels have far larger shares than all others.
        limit = max(np.percentile(np.abs(share), 99), 1e-12)
        column[2].imshow(share, cmap="seismic", vmin=-limit, vmax=limit)
    for axis, name in zip(
        axes[:, 0], ("image", "Grad-CAM", "integrated gradients"), strict=True
    ):
        axis.set_ylabel(name, fontsize=8)
    without_ticks(axes)
    save_figure(figure, path)
