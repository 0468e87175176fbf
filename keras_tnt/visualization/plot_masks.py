"""Plots of the classes of pixels."""

from collections.abc import Sequence

import numpy as np

from keras_tnt.images.preprocess import check_scale
from keras_tnt.utils.typing import PathLike
from keras_tnt.visualization.figure import (
    new_figure,
    require_matplotlib,
    save_figure,
    show_image,
    without_ticks,
)

MOST_NAMES = 20  # classes in the legend


def class_colors(classes: int) -> np.ndarray:
    """Return a color for each class, the same for any number of classes.

    Args:
        classes: number of classes.

    Returns:
        A uint8 array ``(classes, 3)``; black is the first.

    Example:
        >>> from keras_tnt.visualization.plot_masks import class_colors
        >>> class_colors(3).tolist()
        [[0, 0, 0], [31, 119, 180], [255, 127, 14]]
    """
    named = require_matplotlib().colormaps["tab20"].colors
    first = np.array([(0, 0, 0), *named[::2], *named[1::2]]) * 255
    further = np.random.default_rng(0).integers(0, 256, (classes, 3))
    return np.concatenate([first, further])[:classes].round().astype("uint8")


def plot_masks(
    images: Sequence[np.ndarray],
    predicted: Sequence[np.ndarray],
    class_names: Sequence[str],
    path: PathLike,
    masks: Sequence[np.ndarray] | None = None,
) -> None:
    """Plot images with their predicted masks, and their true ones.

    Args:
        images: images ``(height, width, channels)``, values 0-255, of one or several
            sizes.
        predicted: the predicted class of each pixel, whole numbers ``(height,
            width)``.
        class_names: names of the classes. The legend has those that occur, 20 at most.
        path: the PNG file to write.
        masks: the true classes, negative for none; not shown if ``None``.

    Raises:
        ValueError: if the images look scaled to 0-1, or there are more or fewer masks.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization import plot_masks
        >>> images = numpy.zeros((2, 32, 48, 3), "uint8")
        >>> predicted = numpy.ones((2, 32, 48), int)
        >>> plot_masks(images, predicted, ["sky", "tree"], "masks.png")
    """
    rows = {"image": images, "truth": masks, "predicted": predicted}
    for name, row in rows.items():
        if row is not None and len(row) != len(images):
            raise ValueError(
                f"Expected {len(images)} masks of as many images, got {len(row)} "
                f"({name})."
            )
    for image in images:
        check_scale(image)
    shown = {name: row for name, row in rows.items() if row is not None}
    colors = class_colors(len(class_names))
    figure, axes = new_figure(len(shown), len(images), (1.8, 1.8), each=True)
    for line, (name, row) in zip(axes, shown.items(), strict=True):
        line[0].set_ylabel(name)
        for axis, value in zip(line, row, strict=True):
            show_image(axis, value if name == "image" else mask_image(value, colors))
    without_ticks(axes)
    _add_legend(figure, [masks, predicted], class_names, colors)
    save_figure(figure, path)


def mask_image(mask: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Return the colors of the classes of pixels; white for none.

    Args:
        mask: whole numbers ``(height, width)``, negative for none.
        colors: uint8 array ``(classes, 3)``.

    Returns:
        A uint8 array ``(height, width, 3)``.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization.plot_masks import class_colors, mask_image
        >>> mask_image(numpy.array([[0, -1]]), class_colors(2)).tolist()
        [[[0, 0, 0], [255, 255, 255]]]
    """
    white = np.full((1, 3), 255, "uint8")
    numbers = np.where(np.asarray(mask) < 0, len(colors), mask)
    return np.concatenate([colors, white])[numbers]


def _add_legend(figure, rows, names, colors):
    found = [np.unique(mask) for row in rows if row is not None for mask in row]
    numbers = [number for number in np.unique(np.concatenate(found)) if number >= 0]
    patches = [
        require_matplotlib().patches.Patch(color=colors[n] / 255, label=names[n])
        for n in numbers[:MOST_NAMES]
    ]
    figure.legend(
        handles=patches, loc="outside lower center", ncols=5, fontsize=8, frameon=False
    )
