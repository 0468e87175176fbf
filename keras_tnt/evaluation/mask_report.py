"""What an evaluation of a segmenter found."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class MaskReport:
    """Counts of the pixels of a data set, and measures of them.

    Attributes:
        class_names: names of the classes.
        confusion: int64 array ``(classes, classes)``: pixels by true class (row) and
            predicted class. Pixels without class are not counted.
        loss: mean cross-entropy of the counted pixels.
        images: number of images.
        corrupt: number of images that could not be decoded.

    Example:
        >>> import numpy
        >>> from keras_tnt.evaluation import MaskReport
        >>> confusion = numpy.array([[6, 2], [1, 3]])
        >>> report = MaskReport(("sky", "tree"), confusion, 0.5, images=1, corrupt=0)
        >>> [round(value, 4) for value in report.iou], round(report.mean_iou, 4)
        ([0.6667, 0.5], 0.5833)
        >>> report.accuracy
        0.75
    """

    class_names: tuple[str, ...]
    confusion: np.ndarray
    loss: float
    images: int
    corrupt: int

    @property
    def iou(self) -> list[float]:
        """Intersection over union of each class; NaN if it does not occur."""
        right = np.diag(self.confusion)
        union = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - right
        return np.divide(
            right, union, out=np.full(len(right), np.nan), where=union > 0
        ).tolist()

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that occur, true or predicted."""
        return float(np.nanmean(self.iou))

    @property
    def accuracy(self) -> float:
        """Share of the counted pixels whose class is right."""
        return float(np.diag(self.confusion).sum() / self.confusion.sum())
