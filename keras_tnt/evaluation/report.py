"""The counts of an evaluation, and the files of a report."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_tnt.utils.files import atomic_write, local_path, write_json
from keras_tnt.utils.typing import PathLike


class Report(NamedTuple):
    """The counts of an evaluation.

    Attributes:
        class_names: names of the classes of the data set.
        confusion: int64 array (classes, classes): images by true and predicted class.
            With `all_classes`, a further column counts the images that were taken for
            a class which the data set does not have. `None` if images have lists of
            right answers.
        in_top_5: number of images with a right answer among the best five.
        model_classes: number of the model's classes; `None` if it is not known.
        all_classes: whether the answers were taken among all classes of the model, not
            among those of the data set only.
        calibration: the images by the confidence of their answer, a `Calibration`, or
            `None`.
        negative_log_likelihood: mean of -log(p), where p is the probability of a right
            answer, at least 1e-7; or `None`.
        unlabeled: number of images that were left out because no answer is right.
        corrupt: number of images that were left out because they cannot be decoded.
        seconds: duration of the evaluation, or `None`.
    """

    class_names: tuple
    confusion: Any
    in_top_5: int
    model_classes: int | None = None
    all_classes: bool = False
    calibration: Any = None
    negative_log_likelihood: float | None = None
    unlabeled: int = 0
    corrupt: int = 0
    seconds: float | None = None

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self._counts.sum())

    @property
    def _counts(self):
        return self.calibration.images if self.confusion is None else self.confusion

    @property
    def top_1(self) -> float:
        """Top-1 accuracy, 0 to 1."""
        if self.confusion is None:
            return float(self.calibration.hits.sum() / self.images)
        return float(np.trace(self.confusion) / self.images)

    @property
    def top_5(self) -> float:
        """Top-5 accuracy, 0 to 1."""
        return self.in_top_5 / self.images

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error, 0 to 1."""
        return self.calibration.error if self.calibration else None

    @property
    def images_per_second(self) -> float | None:
        """Images a second, from reading the files to counting the answers."""
        return self.images / self.seconds if self.seconds else None

    @property
    def figures(self) -> dict[str, Any]:
        """By name: accuracy, calibration, speed, and what was counted."""
        return {
            "images": self.images,
            "unlabeled": self.unlabeled,
            "corrupt": self.corrupt,
            "top_1": self.top_1,
            "top_5": self.top_5,
            "negative_log_likelihood": self.negative_log_likelihood,
            "calibration_error": self.calibration_error,
            "classes": len(self.class_names),
            "model_classes": self.model_classes,
            "all_classes": self.all_classes,
            "several_labels": self.confusion is None,
            "images_per_second": self.images_per_second,
        }

    @property
    def restriction(self) -> str:
        """A sentence that says among which classes the answers were taken."""
        classes, model_classes = len(self.class_names), self.model_classes
        if model_classes is None or model_classes == classes:
            return f"The data set has all {classes} classes of the model."
        if self.all_classes:
            return (
                f"The answers were taken among all {model_classes} classes of the "
                f"model; the data set has {classes} of them."
            )
        return (
            f"The answers were taken among the {classes} classes of the data set only; "
            f"the model has {model_classes}."
        )

    @property
    def per_class(self) -> Any:
        """Top-1 accuracy of each class, an array; NaN for a class without images.

        `None` if images have lists of right answers.
        """
        if self.confusion is None:
            return None
        totals = self.confusion.sum(axis=1)
        hits = np.diag(self.confusion)
        return np.divide(hits, totals, where=totals > 0, out=np.full(len(hits), np.nan))


def write_report(
    report: Report, directory: PathLike, settings: Mapping[str, Any] | None = None
) -> None:
    """Write a report: `report.json`, and the classes in two CSV files.

    `per_class.csv` has the accuracy of each class, `confusion.csv` the images by true
    class (rows) and predicted class. Images with lists of right answers have neither.

    Args:
        report: a `Report`.
        directory: the directory; created if needed.
        settings: what was evaluated and how, for `report.json`.

    Example:
        >>> import numpy
        >>> from keras_tnt.evaluation import Report, write_report
        >>> report = Report(("cat", "dog"), numpy.array([[3, 1], [0, 4]]), 8)
        >>> write_report(report, "evaluation")
    """
    directory = local_path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    record = dict(settings or {}) | report.figures
    if report.calibration:
        record["calibration"] = report.calibration.bins
    write_json(record, directory / "report.json")
    if report.confusion is None:
        return
    totals = report.confusion.sum(axis=1)
    accuracies = zip(report.class_names, totals, report.per_class, strict=True)
    write_csv(["class", "images", "accuracy"], accuracies, directory / "per_class.csv")
    predicted = [*report.class_names, "other"][: report.confusion.shape[1]]
    counts = zip(report.class_names, report.confusion.tolist(), strict=True)
    rows = ([name, *row] for name, row in counts)
    write_csv(["true class", *predicted], rows, directory / "confusion.csv")


def write_csv(header: Sequence[str], rows: Iterable, path: PathLike) -> None:
    """Write rows as a CSV file, atomically."""
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file).writerows([header, *rows])
