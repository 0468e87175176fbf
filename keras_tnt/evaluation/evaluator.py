"""How well a model names the images of a data set."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_tnt.data import image_dataset
from keras_tnt.data.errors import readable_errors
from keras_tnt.data.source import ImageSource
from keras_tnt.images import imagenet_classes
from keras_tnt.utils.files import atomic_write
from keras_tnt.utils.typing import PathLike


class Report(NamedTuple):
    """What an evaluation has counted.

    Attributes:
        class_names: the data set's names of the classes.
        confusion: int64 array (classes, classes): images by their true class and the
            class that the model took them for.
        in_top_5: images whose class was among the best five.
    """

    class_names: tuple
    confusion: np.ndarray
    in_top_5: int

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())

    @property
    def top_1(self) -> float:
        """Share of the images whose class was the best one."""
        return float(np.trace(self.confusion) / self.images)

    @property
    def top_5(self) -> float:
        """Share of the images whose class was among the best five."""
        return self.in_top_5 / self.images

    @property
    def per_class(self) -> np.ndarray:
        """Top-1 accuracy of each class, NaN for a class without images."""
        totals = self.confusion.sum(axis=1)
        hits = np.diag(self.confusion)
        return np.divide(hits, totals, where=totals > 0, out=np.full(len(hits), np.nan))


def evaluate_classifier(
    classifier: tuple[Any, Sequence[str], float],
    source: ImageSource,
    batch_size: int = 64,
    skip_corrupt: bool = False,
    verbose: int = 0,
) -> Report:
    """Evaluates a classifier on every image of a data set.

    Args:
        classifier: a `keras_tnt.inference.classifier.Classifier`.
        source: what `keras_tnt.data.load_dataset` returns.
        batch_size: images a step.
        skip_corrupt: whether to leave out images that cannot be decoded.
        verbose: 1 for a progress bar, 0 for silence.

    Returns:
        A `Report`.

    Raises:
        ValueError: if model and data do not have the same classes.

    Example:
        >>> from keras_tnt import TNT
        >>> from keras_tnt.data import load_dataset
        >>> from keras_tnt.evaluation.evaluator import evaluate_classifier
        >>> from keras_tnt.inference.classifier import Classifier
        >>> source = load_dataset("fashion_mnist_mini", "test[:2%]")
        >>> model = TNT(16, 4, 1, 2, 2, patch_size=14, input_shape=(28, 28, 1),
        ...             classes=10)
        >>> classifier = Classifier(model, source.class_names, 1.0)
        >>> report = evaluate_classifier(classifier, source)
        >>> report.images, report.top_1 <= report.top_5
        (40, True)
    """
    model, model_names, crop_fraction = classifier
    columns = match_classes(model_names, source.class_names)
    _, height, width, channels = model.input_shape
    dataset = image_dataset(
        source,
        image_size=(height, width),
        channels=channels,
        batch_size=batch_size,
        crop_fraction=crop_fraction,
        skip_corrupt=skip_corrupt,
    )
    confusion = np.zeros((len(columns), len(columns)), "int64")
    in_top_5 = 0
    steps = math.ceil(len(source) / batch_size)
    progress = keras.utils.Progbar(steps, verbose=verbose)
    with readable_errors():
        for images, labels, weights in dataset:
            counted = weights.numpy() > 0
            truth = labels.numpy().argmax(axis=1)[counted]
            scores = np.asarray(model.predict_on_batch(images))[counted][:, columns]
            best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
            np.add.at(confusion, (truth, best[:, 0]), 1)
            in_top_5 += int((best == truth[:, None]).any(axis=1).sum())
            progress.add(1)
    return Report(tuple(source.class_names), confusion, in_top_5)


def match_classes(model_names: Sequence[str], data_names: Sequence[str]) -> list[int]:
    """Finds the model's output for each class of the data.

    Classes are matched by name, those of ImageNet also by WordNet id; if the names have
    nothing in common but are equally many, by their order.

    Args:
        model_names: names of the model's classes.
        data_names: names of the data's classes.

    Returns:
        A list: for each class of the data the index of the model's.

    Raises:
        ValueError: if a class of the data is none of the model's.

    Example:
        >>> from keras_tnt.evaluation.evaluator import match_classes
        >>> match_classes(["ant", "bee", "cat"], ["cat", "ant"])
        [2, 0]
    """
    known = {name: index for index, name in enumerate(model_names)}
    imagenet = imagenet_classes()
    if list(model_names) == [name for _, name in imagenet]:
        known |= {wordnet_id: i for i, (wordnet_id, _) in enumerate(imagenet)}
    unknown = [name for name in data_names if name not in known]
    if not unknown:
        return [known[name] for name in data_names]
    if len(unknown) == len(data_names) == len(model_names):
        return list(range(len(data_names)))
    raise ValueError(
        f"The data has {len(data_names)} classes and the model {len(model_names)}; "
        f"{len(unknown)} of the data's are none of the model's, first {unknown[0]!r}. "
        "Evaluate on the classes that the model was trained for."
    )


def write_report(report: Report, directory: PathLike) -> None:
    """Write a report: `report.json` and `per_class.csv`.

    Args:
        report: a `Report`.
        directory: where to; made if needed.

    Example:
        >>> import numpy
        >>> from keras_tnt.evaluation.evaluator import Report, write_report
        >>> report = Report(("cat", "dog"), numpy.array([[3, 1], [0, 4]]), 8)
        >>> write_report(report, "evaluation")
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    figures = {name: getattr(report, name) for name in ("images", "top_1", "top_5")}
    with atomic_write(directory / "report.json") as unfinished:
        unfinished.write_text(json.dumps(figures, indent=2) + "\n")
    lines: list[Any] = [["class", "images", "accuracy"]]
    totals = report.confusion.sum(axis=1)
    lines += zip(report.class_names, totals, report.per_class, strict=True)
    with (
        atomic_write(directory / "per_class.csv") as unfinished,
        unfinished.open("w", newline="") as file,
    ):
        csv.writer(file).writerows(lines)
