"""Evaluation of classifiers: every answer is counted."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_tnt.data.error_handling import readable_errors
from keras_tnt.data.source import ImageSource
from keras_tnt.evaluation.batches import (
    box_size,
    check_any_image,
    check_finite_outputs,
    default_batch_size,
    evaluation_batches,
)
from keras_tnt.evaluation.class_matching import match_classes
from keras_tnt.evaluation.reliability import Calibration
from keras_tnt.evaluation.report import Report
from keras_tnt.evaluation.views import mean_of_views

SMALLEST = 1e-7  # probability in a logarithm, as in Keras's losses


def evaluate_classifier(
    classifier: tuple[Any, Sequence[str], float],
    source: ImageSource,
    batch_size: int | None = None,
    skip_corrupt: bool = False,
    verbose: int = 0,
    all_classes: bool = False,
    flip: bool = False,
    five_crops: bool = False,
    on_batch: Callable[[np.ndarray, np.ndarray], None] | None = None,
) -> Report:
    """Count the predictions of a classifier on every image of a data set.

    If the data set has only some of the model's classes, the answers are taken among
    these, and their probabilities are scaled to sum to 1, as is usual for subsets of
    ImageNet. This is easier than what the model does alone: `all_classes=True` takes
    them among all.

    If images have lists of right answers, as in ReaL, an answer is right if it is in
    the list, and images without any are left out.

    Args:
        classifier: a `keras_tnt.inference.classifier.Classifier`.
        source: the images, from `keras_tnt.data.load_dataset`.
        batch_size: images a step, by default 16 on CPUs, else 64.
        skip_corrupt: whether to leave out images that cannot be decoded.
        verbose: 1 for a progress bar, 0 for silence.
        all_classes: whether a class that the data set does not have can be an answer.
        flip: whether an image is also shown mirrored. The answer is the mean.
        five_crops: whether the corners of an image are shown beside its center.
        on_batch: called after each batch with the indices of its images and whether the
            answer to each is right, int and bool arrays (images,).

    Returns:
        A `Report`.

    Raises:
        ValueError: if a class of the data set is unknown to the model, ``batch_size``
            is not a whole number of at least 1, no image can be decoded, the model
            returns other values than numbers, or the crop fraction leaves no corners.

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
    if batch_size is None:
        batch_size = default_batch_size()
    model, model_names, crop_fraction = classifier
    columns = match_classes(model_names, source.class_names)
    size = model.input_shape[1:3]
    if five_crops and box_size(size, crop_fraction) == tuple(size):
        raise ValueError(
            f"A crop fraction of {crop_fraction} leaves no corners for five crops of "
            f"size {tuple(size)}. Use a smaller one, such as 0.875."
        )
    all_classes &= len(columns) < len(model_names)
    others = sorted(set(range(len(model_names))) - set(columns))
    order = columns + others if all_classes else columns
    counts = _Counts(len(columns), len(order))
    dataset = evaluation_batches(
        model,
        source,
        batch_size,
        crop_fraction,
        whole_box=five_crops,
        skip_corrupt=skip_corrupt,
    )
    steps = math.ceil(len(source) / batch_size)
    progress = keras.utils.Progbar(steps, verbose=verbose)
    start = time.perf_counter()
    with readable_errors():
        for step, (images, labels, weights) in enumerate(dataset):
            (counted,) = np.nonzero(weights.numpy())
            answers = mean_of_views(model.predict_on_batch, images, size, flip)
            labeled, right = counts.add(
                labels.numpy()[counted] > 0, answers[counted][:, order]
            )
            if on_batch:
                on_batch(step * batch_size + counted[labeled], right)
            progress.add(1)
    images = int(counts.calibration.images.sum())
    check_any_image(images, source, counts.unlabeled)
    return Report(
        tuple(source.class_names),
        None if source.several_labels else counts.confusion,
        counts.in_top_5,
        len(model_names),
        all_classes,
        counts.calibration,
        negative_log_likelihood=float(counts.log_loss / images),
        unlabeled=counts.unlabeled,
        corrupt=len(source.corrupt),
        seconds=time.perf_counter() - start,
    )


class _Counts:
    """What is counted of the answers.

    Args:
        classes: number of classes of the data set, the first ones of an answer.
        outputs: number of classes of an answer.
    """

    def __init__(self, classes, outputs):
        self.confusion = np.zeros((classes, classes + (outputs > classes)), "int64")
        self.calibration = Calibration.of(np.zeros(0), np.zeros(0, bool))
        self.in_top_5 = 0
        self.log_loss = 0.0
        self.unlabeled = 0

    def add(self, right, scores):
        """Count a batch.

        Args:
            right: bool array (batch, classes): the right answers.
            scores: array (batch, outputs).

        Returns:
            The images that have a right answer, a bool array (batch,), and whether each
            of them got it.
        """
        labeled = right.any(axis=1)
        self.unlabeled += int((~labeled).sum())
        right, scores = right[labeled], scores[labeled]
        check_finite_outputs(scores)
        classes = right.shape[1]
        others = scores.shape[1] - classes
        padded = np.pad(right, [(0, 0), (0, others)])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
        hits = np.take_along_axis(padded, best, axis=1)
        self.in_top_5 += int(hits.any(axis=1).sum())
        predicted = np.minimum(best[:, 0], classes)  # the others are one column
        np.add.at(self.confusion, (right.argmax(axis=1), predicted), 1)
        shares = scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-30)
        likelihood = (shares * padded).sum(axis=1)
        self.log_loss -= np.log(np.maximum(likelihood, SMALLEST)).sum()
        confidence = np.take_along_axis(shares, best[:, :1], axis=1)[:, 0]
        self.calibration = self.calibration.plus(Calibration.of(confidence, hits[:, 0]))
        return labeled, hits[:, 0]
