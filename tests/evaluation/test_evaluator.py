"""Evaluation of classifiers: what is counted, among which classes."""

import numpy as np
import pytest

from keras_tnt.data import fashion_mnist_mini_class_names, load_dataset
from keras_tnt.evaluation import evaluate_classifier
from keras_tnt.evaluation.evaluator import _Counts
from keras_tnt.inference.classifier import Classifier
from tests.helpers.datasets import write_directory

NAMES = fashion_mnist_mini_class_names()


class Oracle:
    """A model that has the answers, given in the order of the images."""

    input_shape = (None, 28, 28, 1)

    def __init__(self, scores):
        self.scores = list(scores)

    def predict_on_batch(self, images):
        rows = [self.scores.pop(0) if self.scores else np.zeros(10) for _ in images]
        return np.stack(rows)


def test_evaluate_classifier__every_image_once():
    source = load_dataset("fashion_mnist_mini", "test[:3%]")
    labels = [int(source.fetch(index)[1]) for index in range(len(source))]
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(60, 10))
    model = Oracle(scores)
    report = evaluate_classifier(Classifier(model, NAMES, 1.0), source, batch_size=32)
    assert model.scores == []
    best = scores.argsort(axis=1)[:, ::-1]
    expected = np.zeros((10, 10), int)
    for label, row in zip(labels, best, strict=True):
        expected[label, row[0]] += 1
    np.testing.assert_array_equal(report.confusion, expected)
    assert report.images == 60
    assert report.top_1 == np.mean(best[:, 0] == labels)
    in_top_5 = [label in row[:5] for label, row in zip(labels, best, strict=True)]
    assert report.top_5 == np.mean(in_top_5)


def test_evaluate_classifier__order_of_data():
    source = load_dataset("fashion_mnist_mini", "test[:2%]")
    labels = [int(source.fetch(index)[1]) for index in range(len(source))]
    order = np.random.default_rng(0).permutation(10)
    names = [NAMES[index] for index in order]
    scores = [(order == label).astype(float) for label in labels]
    report = evaluate_classifier(Classifier(Oracle(scores), names, 1.0), source)
    assert report.top_1 == 1
    assert report.confusion.sum() == np.trace(report.confusion) == 40


def subset_report(tmp_path, **arguments):
    """Images of 2 of 10 classes; each is taken for its own, the other, or a third."""
    write_directory(tmp_path / "data", {"bee": 3, "ant": 3})
    names = ["eel", "bee", "fox", "ant", *"abcdef"]
    scores = np.zeros((6, 10))
    scores[:, 1] = [3, 3, 3, 3, 1, 1]  # bee; the images are three ants, three bees
    scores[:, 3] = [5, 5, 2, 2, 2, 2]  # ant
    scores[:, 0] = [1, 9, 1, 1, 1, 9]  # a class that the data do not have
    classifier = Classifier(Oracle(scores), names, 1.0)
    source = load_dataset(tmp_path / "data")
    return evaluate_classifier(classifier, source, **arguments)


def test_evaluate_classifier__a_subset_of_the_classes(tmp_path):
    report = subset_report(tmp_path)
    np.testing.assert_array_equal(report.confusion, [[2, 1], [2, 1]])
    expected = {
        "images": 6, "top_1": 3 / 6, "top_5": 1.0, "several_labels": False,
        "classes": 2, "model_classes": 10, "all_classes": False,
    }  # fmt: skip
    assert report.figures == report.figures | expected
    assert "among the 2 classes of the data set only; the model has 10" in (
        report.restriction
    )


def test_evaluate_classifier__a_subset_among_all_classes(tmp_path):
    report = subset_report(tmp_path, all_classes=True)
    np.testing.assert_array_equal(report.confusion, [[1, 1, 1], [1, 1, 1]])
    np.testing.assert_allclose(report.per_class, [1 / 3, 1 / 3])
    assert (report.top_1, report.images) == (2 / 6, 6)
    assert report.figures["all_classes"]
    assert "among all 10 classes of the model" in report.restriction


def test_evaluate_classifier__all_classes_are_those_of_the_data():
    source = load_dataset("fashion_mnist_mini", "test[:1%]")
    scores = np.random.default_rng(0).normal(size=(20, 10))
    reports = [
        evaluate_classifier(Classifier(Oracle(scores), NAMES, 1.0), source, **arguments)
        for arguments in ({}, {"all_classes": True})
    ]
    np.testing.assert_array_equal(reports[0].confusion, reports[1].confusion)
    figures = [report._replace(seconds=None).figures for report in reports]
    assert figures[0] == figures[1]
    assert "all 10 classes" in reports[0].restriction


def probabilities(count):
    rng = np.random.default_rng(1)
    return rng.dirichlet(np.ones(10), count)


def test_evaluate_classifier__likelihood_and_calibration():
    source = load_dataset("fashion_mnist_mini", "test[:1%]")
    labels = np.array([int(source.fetch(index)[1]) for index in range(20)])
    scores = probabilities(20)
    scores[0] = np.eye(10)[labels[0] - 1]  # sure, and wrong
    seen = []
    report = evaluate_classifier(
        Classifier(Oracle(scores), NAMES, 1.0),
        source,
        batch_size=8,
        on_batch=lambda indices, right: seen.extend(zip(indices, right, strict=True)),
    )
    likelihood = np.maximum(scores[np.arange(20), labels], 1e-7)
    expected = -np.log(likelihood).mean()
    assert report.negative_log_likelihood == pytest.approx(expected)
    right = scores.argmax(axis=1) == labels
    assert seen == list(enumerate(right))
    gaps = []
    for number in range(15):
        confidence = scores.max(axis=1)
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        gaps.append(abs(right[inside].sum() - confidence[inside].sum()))
    assert report.calibration_error == pytest.approx(sum(gaps) / 20)
    assert report.images_per_second > 0


class Looking:
    """A model that answers class 1 where the image is brighter at its left."""

    input_shape = (None, 20, 20, 1)
    calls = 0

    def predict_on_batch(self, images):
        self.calls += 1
        images = np.asarray(images)
        assert images.shape[1:] == (20, 20, 1)
        left = images[:, :, :10].mean(axis=(1, 2, 3))
        right = images[:, :, 10:].mean(axis=(1, 2, 3))
        share = 1 / (1 + np.exp((right - left) / 50))
        return np.stack([1 - share, share] + [0 * share] * 8, axis=1)


def test_evaluate_classifier__views():
    """Mirrored, what was 0.9 is 0.1."""
    source = load_dataset("fashion_mnist_mini", "test[:1%]")
    model = Looking()
    classifier = Classifier(model, NAMES, 20 / 28)
    report = evaluate_classifier(
        classifier, source, batch_size=20, flip=True, five_crops=True
    )
    assert report.images == 20
    np.testing.assert_allclose(report.calibration.confidence.sum(), 20 * 0.5)
    assert model.calls == 10


def test_evaluate_classifier__no_corners():
    source = load_dataset("fashion_mnist_mini", "test[:3]")
    with pytest.raises(ValueError, match="leaves no corners for five crops"):
        evaluate_classifier(Classifier(Looking(), NAMES, 1.0), source, five_crops=True)


def test_counts__not_finite():
    with pytest.raises(ValueError, match="values that are not finite"):
        _Counts(2, 2).add(np.array([[True, False]]), np.array([[0.5, np.nan]]))


def test_counts__several_labels_or_none():
    """Right if it is one of the labels; the likelihood is that of all of them."""
    counts = _Counts(6, 6)
    right = np.zeros((4, 6), bool)
    right[0, [1, 2]] = right[1, 0] = right[3, 5] = True  # image 2 has no label
    scores = np.array([
        [0.1, 0.2, 0.3, 0.2, 0.1, 0.1],
        [0.1, 0.5, 0.1, 0.1, 0.1, 0.1],
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.2, 0.2, 0.2, 0.2, 0.2, 0.0],
    ])  # fmt: skip
    labeled, hits = counts.add(right, scores)
    assert labeled.tolist() == [True, True, False, True]
    assert hits.tolist() == [True, False, False]
    assert (counts.unlabeled, counts.in_top_5) == (1, 2)
    assert counts.log_loss == pytest.approx(-np.log([0.5, 0.1, 1e-7]).sum())
