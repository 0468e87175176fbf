"""Evaluation of classifiers: compiled metrics, and a report by class."""

import csv
import json
import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_tnt import distribute
from keras_tnt.compat.keras_training import loss_per_image
from keras_tnt.data import image_dataset
from keras_tnt.data.error_handling import readable_errors
from keras_tnt.data.source import ImageSource
from keras_tnt.images import imagenet_classes
from keras_tnt.utils.counts import check_count
from keras_tnt.utils.files import atomic_write, local_path
from keras_tnt.utils.typing import PathLike

logger = logging.getLogger(__name__)


class Report(NamedTuple):
    """The counts of an evaluation.

    Attributes:
        class_names: names of the classes of the data set.
        confusion: int64 array (classes, classes): images by true and predicted class.
            With `all_classes`, a further column counts the images that were taken for
            a class which the data set does not have.
        in_top_5: number of images whose class is among the best five.
        model_classes: number of the model's classes; `None` if it is not known.
        all_classes: whether the answers were taken among all classes of the model, not
            among those of the data set only.
    """

    class_names: tuple
    confusion: np.ndarray
    in_top_5: int
    model_classes: int | None = None
    all_classes: bool = False

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())

    @property
    def top_1(self) -> float:
        """Top-1 accuracy, 0 to 1."""
        return float(np.trace(self.confusion) / self.images)

    @property
    def top_5(self) -> float:
        """Top-5 accuracy, 0 to 1."""
        return self.in_top_5 / self.images

    @property
    def figures(self) -> dict[str, Any]:
        """By name: `images`, `top_1`, `top_5`, and among which classes."""
        return {
            "images": self.images,
            "top_1": self.top_1,
            "top_5": self.top_5,
            "classes": len(self.class_names),
            "model_classes": self.model_classes,
            "all_classes": self.all_classes,
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
    def per_class(self) -> np.ndarray:
        """Top-1 accuracy of each class; NaN for a class without images."""
        totals = self.confusion.sum(axis=1)
        hits = np.diag(self.confusion)
        return np.divide(hits, totals, where=totals > 0, out=np.full(len(hits), np.nan))


def evaluate(
    model: keras.Model,
    source: ImageSource,
    batch_size: int = 128,
    crop_fraction: float = 0.9,
    skip_corrupt: bool = False,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> dict[str, float]:
    """Evaluate a compiled model on every image of a source, once.

    Args:
        model: a `keras.Model` compiled with `weighted_metrics`, as by
            `keras_tnt.training.builders.compile_model`.
        source: the images, from `keras_tnt.data.load_dataset`.
        batch_size: images a step, on all devices together.
        crop_fraction: central share of an image that is evaluated.
        skip_corrupt: whether to skip images that cannot be decoded.
        strategy: the `tf.distribute.Strategy` of the model; the current one if
            ``None``.
        callbacks: Keras callbacks.
        verbose: 0 for silence, 1 for a progress bar, 2 for a line.

    Returns:
        A dict of `loss` and the metrics, means over the images.

    Raises:
        ValueError: if ``batch_size`` is not a whole number of at least 1, or no image
            can be decoded.

    Example:
        ```python
        from keras_tnt.data import load_dataset
        from keras_tnt.evaluation import evaluate

        metrics = evaluate(model, load_dataset("fashion_mnist_mini", "test"))
        print(metrics["accuracy"])
        ```
    """
    batch_size = check_count("batch_size", batch_size)
    strategy = strategy or tf.distribute.get_strategy()
    steps = math.ceil(len(source) / batch_size)
    dataset = distribute.distribute_dataset(
        strategy,
        lambda worker, workers, replicas: _batches(
            model,
            source,
            batch_size,
            crop_fraction,
            skip_corrupt,
            worker=worker,
            workers=workers,
            replicas=replicas,
        ),
    )
    metrics = model.evaluate(
        dataset, steps=steps, callbacks=callbacks, verbose=verbose, return_dict=True
    )
    # Each worker knows the corrupt images of its own shard only.
    images = len(source) - distribute.total(strategy, len(source.corrupt))
    _check_any(images, source)
    metrics["loss"] = loss_per_image(metrics["loss"], steps, batch_size, images)
    return metrics


def _check_any(images, source):
    if not images:
        raise ValueError(
            f"No image of {source.name!r} can be read or decoded: there is nothing to "
            "evaluate. Check the files."
        )


def _batches(model, source, batch_size, crop_fraction, skip_corrupt, **shard):
    """The evaluation batches of a source, at the size of a model's input."""
    _, height, width, channels = model.input_shape
    return image_dataset(
        source,
        image_size=(height, width),
        channels=channels,
        batch_size=batch_size,
        crop_fraction=crop_fraction,
        skip_corrupt=skip_corrupt,
        **shard,
    )


def evaluate_classifier(
    classifier: tuple[Any, Sequence[str], float],
    source: ImageSource,
    batch_size: int = 64,
    skip_corrupt: bool = False,
    verbose: int = 0,
    all_classes: bool = False,
) -> Report:
    """Count the predictions of a classifier on every image of a data set.

    If the data set has only some of the model's classes, the answers are taken among
    these, as is usual for subsets of ImageNet. This is easier than what the model does
    alone: `all_classes=True` takes them among all.

    Args:
        classifier: a `keras_tnt.inference.classifier.Classifier`.
        source: the images, from `keras_tnt.data.load_dataset`.
        batch_size: images a step.
        skip_corrupt: whether to leave out images that cannot be decoded.
        verbose: 1 for a progress bar, 0 for silence.
        all_classes: whether a class that the data set does not have can be an answer.

    Returns:
        A `Report`.

    Raises:
        ValueError: if a class of the data set is unknown to the model, ``batch_size``
            is not a whole number of at least 1, or no image can be decoded.

    Example:
        >>> from keras_tnt import TNT
        >>> from keras_tnt.data import load_dataset
        >>> from keras_tnt.evaluation import evaluate_classifier
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
    dataset = _batches(model, source, batch_size, crop_fraction, skip_corrupt)
    classes = len(columns)
    all_classes &= classes < len(model_names)
    others = sorted(set(range(len(model_names))) - set(columns))
    order = columns + others if all_classes else columns
    confusion = np.zeros((classes, classes + all_classes), "int64")
    in_top_5 = 0
    steps = math.ceil(len(source) / batch_size)
    progress = keras.utils.Progbar(steps, verbose=verbose)
    with readable_errors():
        for images, labels, weights in dataset:
            counted = weights.numpy() > 0
            truth = labels.numpy().argmax(axis=1)[counted]
            scores = np.asarray(model.predict_on_batch(images))[counted]
            scores = scores[:, order]
            best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
            predicted = np.minimum(best[:, 0], classes)  # the others are one column
            np.add.at(confusion, (truth, predicted), 1)
            in_top_5 += int((best == truth[:, None]).any(axis=1).sum())
            progress.add(1)
    _check_any(confusion.sum(), source)
    names = tuple(source.class_names)
    return Report(names, confusion, in_top_5, len(model_names), all_classes)


def match_classes(model_names: Sequence[str], data_names: Sequence[str]) -> list[int]:
    """Return the index of the model's output for each class of a data set.

    Classes are matched by name, those of ImageNet also by WordNet id. A model without
    class names, whose classes are called `"0"`, `"1"` and so on, is matched by order,
    if it has as many classes.

    Args:
        model_names: names of the model's classes.
        data_names: names of the data set's classes.

    Returns:
        A list with an index for each class of the data set.

    Raises:
        ValueError: if a class of the data set is unknown to the model.

    Example:
        >>> from keras_tnt.evaluation import match_classes
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
    unnamed = list(model_names) == [str(index) for index in range(len(model_names))]
    if unnamed and len(unknown) == len(data_names) == len(model_names):
        logger.warning(
            "The model has no class names: its outputs are matched with the classes of "
            "the data set by order, %s to %s.",
            data_names[0],
            data_names[-1],
        )
        return list(range(len(data_names)))
    raise ValueError(
        f"Dataset classes not known to the model (first of {len(unknown)}): "
        f"{unknown[0]!r}. The data set has {len(data_names)} classes, the model "
        f"{len(model_names)}. Evaluate on the classes that the model was trained for."
    )


def write_report(report: Report, directory: PathLike) -> None:
    """Write a report: `report.json` and `per_class.csv`.

    Args:
        report: a `Report`.
        directory: the directory; created if needed.

    Example:
        >>> import numpy
        >>> from keras_tnt.evaluation import Report, write_report
        >>> report = Report(("cat", "dog"), numpy.array([[3, 1], [0, 4]]), 8)
        >>> write_report(report, "evaluation")
    """
    directory = local_path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with atomic_write(directory / "report.json") as unfinished:
        text = json.dumps(report.figures, indent=2)
        unfinished.write_text(text + "\n", encoding="utf-8")
    lines: list[Any] = [["class", "images", "accuracy"]]
    totals = report.confusion.sum(axis=1)
    lines += zip(report.class_names, totals, report.per_class, strict=True)
    with (
        atomic_write(directory / "per_class.csv") as unfinished,
        unfinished.open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file).writerows(lines)
