"""Creating and saving matplotlib figures."""

from types import ModuleType
from typing import Any

import numpy as np

from keras_tnt.utils.files import atomic_write
from keras_tnt.utils.typing import PathLike

HEATMAP_STYLE = {"cmap": "inferno", "vmin": 0, "vmax": 1}


def require_matplotlib() -> ModuleType:
    """Return matplotlib, or raise an error that says what to install.

    Returns:
        The `matplotlib` package, with `matplotlib.figure` loaded.

    Example:
        >>> from keras_tnt.visualization.figure import require_matplotlib
        >>> require_matplotlib().__name__
        'matplotlib'
    """
    try:
        import matplotlib.figure
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib, which could not be imported. Install it: "
            'pip install "keras-tnt[demo]"'
        ) from error
    return matplotlib


def new_figure(
    rows: int, columns: int, size: tuple[float, float], each: bool = False
) -> tuple[Any, np.ndarray]:
    """Create a figure.

    Args:
        rows: rows of axes.
        columns: columns of axes.
        size: width and height in inches.
        each: whether ``size`` is that of each of the axes, not of the figure.

    Returns:
        The `matplotlib.figure.Figure` and an array ``(rows, columns)`` of its axes.

    Raises:
        ImportError: if matplotlib is not installed.

    Example:
        >>> from keras_tnt.visualization.figure import new_figure
        >>> figure, axes = new_figure(2, 3, (1, 1), each=True)
        >>> axes.shape
        (2, 3)
    """
    # Not pyplot: it keeps global state and may look for a display.
    matplotlib = require_matplotlib()
    if each:
        size = (size[0] * columns, size[1] * rows)
    figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def show_image(axis: Any, image: np.ndarray) -> None:
    """Show a gray or color image.

    Args:
        axis: one of a figure's axes.
        image: array ``(height, width, channels)`` with values 0-255.

    Raises:
        ValueError: if it is not one image of 1, 3 or 4 channels.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization.figure import new_figure, show_image
        >>> _, axes = new_figure(1, 1, (2, 2))
        >>> show_image(axes[0][0], numpy.zeros((28, 28, 1), "uint8"))
    """
    if image.ndim != 3 or image.shape[-1] not in (1, 3, 4):
        raise ValueError(
            "Expected one image (height, width, channels) of 1, 3 or 4 channels, got "
            f"an array of shape {image.shape}."
        )
    if image.shape[-1] == 1:
        axis.imshow(image[..., 0], cmap="gray", vmin=0, vmax=255)
    else:
        axis.imshow(image.astype("uint8"))


def show_overlay(axis: Any, image: np.ndarray, overlay: np.ndarray) -> None:
    """Show a map 0-1 of the image's size over the image.

    Args:
        axis: one of a figure's axes.
        image: array ``(height, width, channels)`` with values 0-255.
        overlay: array ``(height, width)``.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization.figure import new_figure, show_overlay
        >>> _, axes = new_figure(1, 1, (2, 2))
        >>> image = numpy.zeros((28, 28, 1), "uint8")
        >>> show_overlay(axes[0][0], image, numpy.ones((28, 28)))
    """
    show_image(axis, image)
    axis.imshow(overlay, alpha=0.6, **HEATMAP_STYLE)


def image_axes_size(size: tuple[int, int], side: float) -> tuple[float, float]:
    """Return width and height in inches of axes for an image with its title.

    Args:
        size: ``(height, width)`` of the image.
        side: width in inches.

    Example:
        >>> from keras_tnt.visualization.figure import image_axes_size
        >>> image_axes_size((32, 64), 2.0)
        (2.0, 1.25)
    """
    height, width = size
    return side, side * height / width + 0.25


def check_images(images: np.ndarray, number: int) -> None:
    """Raise a `ValueError` unless there are as many images as features.

    Args:
        images: array ``(batch, height, width, channels)``.
        number: the expected batch size.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization.figure import check_images
        >>> check_images(numpy.zeros((2, 28, 28, 1)), 2)
    """
    if images.ndim != 4 or len(images) != number:
        raise ValueError(
            f"Expected the {number} images of the features, (batch, height, width, "
            f"channels), got an array of shape {images.shape}. Pass the images that "
            "the features were computed from."
        )


def without_ticks(axes: np.ndarray) -> None:
    """Remove the ticks of axes.

    Args:
        axes: an array of a figure's axes.

    Example:
        >>> from keras_tnt.visualization.figure import new_figure, without_ticks
        >>> _, axes = new_figure(1, 2, (2, 2))
        >>> without_ticks(axes)
    """
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])


def save_figure(figure: Any, path: PathLike) -> None:
    """Write a figure as a PNG file, atomically.

    Args:
        figure: a `matplotlib.figure.Figure`.
        path: the file to write.

    Raises:
        OSError: if it cannot be written.

    Example:
        >>> from keras_tnt.visualization.figure import new_figure, save_figure
        >>> figure, _ = new_figure(1, 1, (2, 2))
        >>> save_figure(figure, "empty.png")
    """
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=120)
