"""A plot of the calibration of a classifier."""

from keras_tnt.evaluation import Calibration
from keras_tnt.utils.typing import PathLike
from keras_tnt.visualization.figure import new_figure, save_figure


def plot_reliability(calibration: Calibration, path: PathLike) -> None:
    """Plot a reliability diagram: accuracy and number of images by confidence.

    Args:
        calibration: a `keras_tnt.evaluation.Calibration`.
        path: the PNG file to write.

    Example:
        >>> import numpy
        >>> from keras_tnt.evaluation import Calibration
        >>> from keras_tnt.visualization.plot_reliability import plot_reliability
        >>> counts = Calibration.of(numpy.array([0.6, 0.9]), numpy.array([True] * 2))
        >>> plot_reliability(counts, "reliability.png")
    """
    bins = calibration.bins
    left = [each["above"] for each in bins]
    width = 1 / len(bins)
    figure, axes = new_figure(2, 1, (4.5, 6))
    (above,), (below,) = axes
    accuracy = [each["accuracy"] or 0 for each in bins]
    above.bar(left, accuracy, width, align="edge", edgecolor="white")
    above.plot([0, 1], [0, 1], "--", color="gray", label="calibrated")
    above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    above.set_title(f"expected calibration error {calibration.error:.2%}")
    above.legend(loc="upper left")
    counts = [each["images"] for each in bins]
    below.bar(left, counts, width, align="edge", edgecolor="white")
    below.set(xlabel="confidence", ylabel="images", xlim=(0, 1))
    save_figure(figure, path)
