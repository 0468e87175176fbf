"""ImageNet-C: 15 corruptions of the validation images, at 5 severities each."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_tnt.data.datasets import load_joined_datasets
from keras_tnt.evaluation.evaluator import evaluate_classifier
from keras_tnt.evaluation.report import Report, write_csv
from keras_tnt.utils.typing import PathLike

SEVERITIES = (1, 2, 3, 4, 5)
# Top-1 error of AlexNet, mean of the severities: Hendrycks and Dietterich,
# "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR
# 2019, with the digits of the table that github.com/hendrycks/robustness links.
ALEXNET_ERRORS = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}


class CorruptionReport(NamedTuple):
    """The counts of an evaluation on ImageNet-C.

    Attributes:
        report: the counts of all its images together.
        errors: by corruption, the top-1 error at each severity, 0 to 1.
    """

    report: Report
    errors: dict[str, list[float]]

    @property
    def corruption_errors(self) -> dict[str, float]:
        """By corruption, the sum of the errors over the sum of AlexNet's; 1 is equal.

        This is CE of the paper, section 4.1.
        """
        return {
            corruption: float(np.mean(errors) / ALEXNET_ERRORS[corruption])
            for corruption, errors in self.errors.items()
        }

    @property
    def mean_corruption_error(self) -> float:
        """Mean of the corruption errors, mCE of the paper."""
        return float(np.mean(list(self.corruption_errors.values())))

    @property
    def mean_error(self) -> float:
        """Mean of all errors, not divided by AlexNet's; 0 to 1."""
        return float(np.mean(list(self.errors.values())))

    @property
    def figures(self) -> dict[str, Any]:
        """By name: the means, and the errors of each corruption."""
        return {
            "mean_corruption_error": self.mean_corruption_error,
            "mean_error": self.mean_error,
            "corruptions": {
                corruption: {
                    "corruption_error": self.corruption_errors[corruption],
                    "mean_error": float(np.mean(errors)),
                    "errors": errors,
                }
                for corruption, errors in self.errors.items()
            },
        }


def evaluate_corruptions(
    classifier: tuple[Any, Sequence[str], float],
    split: str = "validation",
    data_dir: PathLike | None = None,
    corruptions: Iterable[str] = tuple(ALEXNET_ERRORS),
    **options: Any,
) -> CorruptionReport:
    """Evaluate a classifier on ImageNet-C, tfds' `imagenet2012_corrupted`.

    Its images are center crops of 224x224 already, so they are not cropped again: pass
    a classifier with a crop fraction of 1, as `keras-tnt evaluate` does.

    Args:
        classifier: a `keras_tnt.inference.classifier.Classifier`.
        split: the split, or a slice of it.
        data_dir: directory of tfds' data sets; `~/tensorflow_datasets` by default.
        corruptions: names of corruptions; all 15 by default.
        **options: further arguments of `evaluate_classifier`.

    Returns:
        A `CorruptionReport`.

    Raises:
        FileNotFoundError: if tfds cannot prepare one of the data sets.
        ValueError: as in `evaluate_classifier`.

    Example:
        ```python
        report = evaluate_corruptions(classifier._replace(crop_fraction=1.0))
        print(report.mean_corruption_error, report.mean_error)
        ```
    """
    corruptions = list(corruptions)
    names = [f"{name}_{severity}" for name in corruptions for severity in SEVERITIES]
    source, sizes = load_joined_datasets(
        [f"imagenet2012_corrupted/{name}" for name in names], split, data_dir
    )
    ends = np.cumsum(sizes)
    images, hits = np.zeros((2, len(names)), "int64")

    def count(indices, right):
        parts = np.searchsorted(ends, indices, side="right")
        np.add.at(images, parts, 1)
        np.add.at(hits, parts[right], 1)

    report = evaluate_classifier(classifier, source, on_batch=count, **options)
    if not images.all():
        raise ValueError(f"No image of {names[images.argmin()]!r} can be decoded.")
    errors = (1 - hits / images).reshape(len(corruptions), -1).tolist()
    return CorruptionReport(report, dict(zip(corruptions, errors, strict=True)))


def write_corruptions(report: CorruptionReport, path: PathLike) -> None:
    """Write the errors of each corruption as a CSV file.

    Args:
        report: a `CorruptionReport`.
        path: the file.
    """
    header = ["corruption", "corruption error", "mean error"]
    header += [f"error at severity {severity}" for severity in SEVERITIES]
    rows = [
        [corruption, each["corruption_error"], each["mean_error"], *each["errors"]]
        for corruption, each in report.figures["corruptions"].items()
    ]
    write_csv(header, rows, path)
