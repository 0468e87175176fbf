"""Plots of a run: training curves, predictions, attention, confusion matrix."""

import csv
from collections.abc import Sequence

import keras
import numpy as np

from keras_tnt.images.preprocess import check_scale
from keras_tnt.utils.typing import PathLike
from keras_tnt.visualization.attention_figure import attention_figure, attention_view
from keras_tnt.visualization.attention_maps import attention_maps
from keras_tnt.visualization.figure import (
    new_figure,
    require_matplotlib,
    save_figure,
    show_image,
)

__all__ = [
    "plot_attention",
    "plot_augmented_images",
    "plot_confusion",
    "plot_predictions",
    "plot_training_curves",
    "require_matplotlib",
]


def plot_training_curves(history_path: PathLike, path: PathLike) -> None:
    """Plot the loss, and accuracy, mean IoU or AP, over the epochs.

    Args:
        history_path: the CSV file of a `keras_tnt.training.history.History`.
        path: the PNG file to write.

    Example:
        >>> from keras_tnt.visualization.plot_results import plot_training_curves
        >>> with open("history.csv", "w") as file:
        ...     print("epoch,loss,accuracy,val_loss,val_accuracy", file=file)
        ...     print("1,1.1,0.6,1.2,0.5", file=file)
        >>> plot_training_curves("history.csv", "curves.png")
    """
    with open(history_path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) for row in rows]
    kinds = {"": "training", "val_": "evaluation", "val_ema_": "averaged weights"}
    dense = [m for m in ("mean_iou", "ap") if rows and f"val_{m}" in rows[0]]
    measure = dense[0] if dense else "accuracy"
    figure, axes = new_figure(1, 2, (9, 3.5))
    for axis, metric in zip(axes[0], ("loss", measure), strict=True):
        for kind, label in kinds.items():
            values = [row.get(kind + metric) for row in rows]
            if any(values):
                values = [float(value or "nan") for value in values]
                axis.plot(epochs, values, ".-", label=label)
        axis.set(xlabel="epoch", ylabel=metric.replace("_", " "))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    axes[0][0].legend()
    save_figure(figure, path)


def plot_predictions(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    path: PathLike,
) -> None:
    """Plot images with true and predicted classes, errors in red.

    Args:
        images: uint8 array ``(batch, height, width, channels)``.
        labels: true class of each image.
        probabilities: array ``(batch, classes)``.
        class_names: names of the classes.
        path: the PNG file to write.

    Raises:
        ValueError: if the images look scaled to 0-1.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization.plot_results import plot_predictions
        >>> images = numpy.zeros((2, 28, 28, 1), "uint8")
        >>> probabilities = numpy.array([[0.9, 0.1], [0.6, 0.4]])
        >>> plot_predictions(
        ...     images, [0, 1], probabilities, ["night", "day"], "predictions.png"
        ... )
    """
    check_scale(images)
    columns = 8
    figure, axes = new_figure(
        -(-len(images) // columns), columns, (1.5, 1.85), each=True
    )
    for axis in axes.flat:
        axis.set_axis_off()
    predicted = probabilities.argmax(axis=1)
    for axis, image, label, guess, row in zip(
        axes.flat, images, labels, predicted, probabilities, strict=False
    ):
        right = guess == label
        show_image(axis, image)
        text = f"{class_names[guess]} {row[guess]:.0%}"
        if not right:
            text += f"\nreally: {class_names[label]}"
        axis.set_title(text, fontsize=7, color="black" if right else "crimson")
        if not right:
            _frame(axis, "crimson")
    save_figure(figure, path)


def plot_attention(
    model: keras.Model, images: np.ndarray, titles: Sequence[str], path: PathLike
) -> None:
    """Plot the attention of the class token, and the attention inside one patch.

    A row for each image: the image, with an outline around the patch that the class
    token attends to most; the attention of the class token in the last block over the
    image; that patch; and the attention that its pixels receive in the last inner
    transformer. See `keras_tnt.visualization.attention_figure`.

    Args:
        model: a TNT with an inner transformer in at least one block.
        images: uint8 array ``(batch, height, width, channels)``.
        titles: a title for each image.
        path: the PNG file to write.

    Raises:
        ValueError: if ``model`` has no TNT blocks, or none with an inner transformer;
            or if the images look scaled to 0-1.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization.plot_results import plot_attention
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> images = numpy.zeros((1, 32, 64, 3), "uint8")
        >>> plot_attention(model, images, ["night"], "attention.png")
    """
    check_scale(images)
    maps = attention_maps(model, images)
    if not maps.inner:
        raise ValueError(
            f"Model {model.name!r} has no inner transformer, so there is no attention "
            "inside its patches to plot; attention_maps returns the outer one."
        )
    block, inner_block = max(maps.outer), max(maps.inner)
    views = [
        attention_view(maps, block, index, inner_block) for index in range(len(images))
    ]
    save_figure(attention_figure(list(images), views, titles), path)


def plot_augmented_images(
    images: np.ndarray, labels: np.ndarray, class_names: Sequence[str], path: PathLike
) -> None:
    """Plot an augmented batch with the shares of its classes.

    Args:
        images: array ``(batch, height, width, channels)``, 0-255.
        labels: array ``(batch, classes)``, shares that sum to 1.
        class_names: names of the classes.
        path: the PNG file to write.

    Raises:
        ValueError: if the images look scaled to 0-1.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization.plot_results import plot_augmented_images
        >>> images = numpy.zeros((2, 28, 28, 1))
        >>> labels = numpy.array([[0.3, 0.7], [1.0, 0.0]])
        >>> plot_augmented_images(images, labels, ["night", "day"], "augmented.png")
    """
    check_scale(images)
    columns = 6
    figure, axes = new_figure(
        -(-len(images) // columns), columns, (1.9, 2.15), each=True
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image, shares in zip(axes.flat, images, labels, strict=False):
        show_image(axis, image)
        most = np.argsort(-shares, kind="stable")[:2]  # a mixed image has two
        lines = [f"{class_names[c]} {shares[c]:.0%}" for c in most if shares[c] > 0]
        axis.set_title("\n".join(lines), fontsize=8)
    save_figure(figure, path)


def plot_confusion(
    confusion: np.ndarray, class_names: Sequence[str], path: PathLike
) -> None:
    """Plot a confusion matrix: true classes as rows, shares of a row as shades.

    Args:
        confusion: array ``(classes, classes)`` of counts, by true and predicted class;
            a further column is for other classes of the model.
        class_names: names of the classes; omitted if there are more than 40.
        path: the PNG file to write.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization.plot_results import plot_confusion
        >>> plot_confusion(numpy.array([[3, 1], [0, 4]]), ["cat", "dog"], "matrix.png")
    """
    classes = len(class_names)
    predicted = [*class_names, "other"][: confusion.shape[1]]
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = min(max(4, classes * 0.45), 12) + 1.5
    figure, axes = new_figure(1, 1, (side, side))
    axis = axes[0][0]
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set(xlabel="predicted", ylabel="true")
    if classes <= 40:
        axis.set_xticks(range(len(predicted)), predicted, rotation=90)
        axis.set_yticks(range(classes), class_names)
    if classes <= 20:
        for (row, column), count in np.ndenumerate(confusion):
            if count:
                color = "white" if shares[row, column] > 0.5 else "black"
                style = {"ha": "center", "va": "center", "fontsize": 8, "color": color}
                axis.text(column, row, int(count), **style)
    save_figure(figure, path)


def _frame(axis, color):
    axis.set_axis_on()
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(color=color, linewidth=2)
