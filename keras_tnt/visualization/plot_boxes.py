"""Plots of the boxes of objects."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.images.preprocess import check_scale
from keras_tnt.utils.typing import PathLike
from keras_tnt.visualization.figure import (
    new_figure,
    require_matplotlib,
    save_figure,
    show_image,
    without_ticks,
)
from keras_tnt.visualization.plot_masks import MOST_NAMES, class_colors


def plot_boxes(
    images: Sequence[np.ndarray],
    detections: Sequence[ArrayLike],
    class_names: Sequence[str],
    path: PathLike,
    truths: Sequence[ArrayLike] | None = None,
    columns: int = 5,
) -> None:
    """Plot images with the boxes of detected objects, and the true ones dashed.

    Args:
        images: images ``(height, width, channels)``, values 0-255, of one or several
            sizes.
        detections: for each image ``(objects, 6)``: left, top, right and bottom in
            pixels of the image, class, and a score, which is shown at the box.
        class_names: names of the classes. The legend has those that occur, 20 at most.
        path: the PNG file to write.
        truths: for each image ``(objects, 5 or more)``: edges as above, and class; not
            shown if ``None``.
        columns: number of images in a row.

    Raises:
        ValueError: if the images look scaled to 0-1, or there are more or fewer lists
            of objects.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization import plot_boxes
        >>> images = numpy.zeros((1, 32, 48, 3), "uint8")
        >>> plot_boxes(images, [[[4, 4, 20, 16, 1, 0.9]]], ["cat", "dog"], "boxes.png")
    """
    for name, rows in (("detections", detections), ("truths", truths)):
        if rows is not None and len(rows) != len(images):
            raise ValueError(
                f"Expected {name} of each of the {len(images)} images, got "
                f"{len(rows)} lists."
            )
    for image in images:
        check_scale(image)
    columns = min(columns, len(images))
    lines = -(-len(images) // columns)
    figure, axes = new_figure(lines, columns, (1.8, 1.8), each=True)
    colors = _box_colors(len(class_names))
    found: set[int] = set()
    for number, axis in enumerate(axes.flat):
        if number >= len(images):
            axis.set_axis_off()
            continue
        show_image(axis, images[number])
        truth = [] if truths is None else np.asarray(truths[number]).tolist()
        for left, top, right, bottom, kind, *_ in truth:
            _draw(axis, (left, top, right, bottom), colors[int(kind)], "--", 1)
            found.add(int(kind))
        for *box, kind, score in np.reshape(detections[number], (-1, 6)):
            _draw(axis, box, colors[int(kind)], "-", 1.8)
            axis.text(
                box[0],
                box[1],
                f"{score:.0%}",
                fontsize=6,
                va="bottom",
                clip_on=True,
                color="white",
                bbox={"facecolor": colors[int(kind)], "pad": 0.5, "linewidth": 0},
            )
            found.add(int(kind))
    without_ticks(axes)
    patch = require_matplotlib().patches.Patch
    figure.legend(
        handles=[
            patch(color=colors[n], label=class_names[n])
            for n in sorted(found)[:MOST_NAMES]
        ],
        loc="outside lower center",
        ncols=5,
        fontsize=8,
        frameon=False,
    )
    save_figure(figure, path)


def _box_colors(classes):
    """A color for each class, none of them black."""
    return class_colors(classes + 1)[1:] / 255


def _draw(axis, box, color, style, width):
    left, top, right, bottom = box
    rectangle = require_matplotlib().patches.Rectangle
    place = (left - 0.5, top - 0.5), right - left, bottom - top
    look = {"fill": False, "edgecolor": color, "linestyle": style, "linewidth": width}
    axis.add_patch(rectangle(*place, **look))
