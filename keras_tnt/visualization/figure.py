"""Creating and saving matplotlib figures."""

from types import ModuleType
from typing import Any

import numpy as np

from keras_tnt.utils.files import atomic_write
from keras_tnt.utils.typing import PathLike


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

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization.figure import new_figure, show_image
        >>> _, axes = new_figure(1, 1, (2, 2))
        >>> show_image(axes[0][0], numpy.zeros((28, 28, 1), "uint8"))
    """
    if image.shape[-1] == 1:
        axis.imshow(image[..., 0], cmap="gray", vmin=0, vmax=255)
    else:
        axis.imshow(image.astype("uint8"))


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
