"""Evaluation: what is counted, how classes are matched, what is left behind."""

import csv
import json
import os

import numpy as np
import pytest
from PIL import Image

from keras_tnt.cli import main
from keras_tnt.data import fashion_mnist_mini_class_names, load_dataset
from keras_tnt.evaluation import (
    Report,
    evaluate,
    evaluate_classifier,
    match_classes,
    write_report,
)
from keras_tnt.images import imagenet_classes
from keras_tnt.inference.classifier import Classifier
from keras_tnt.training import fashion_mnist_demo
from keras_tnt.training.run_directory import RunDirectory
from tests.helpers.datasets import write_directory
from tests.helpers.small import dense_classifier, small

NAMES = fashion_mnist_mini_class_names()


class Oracle:
    """A model that has the answers, given in the order of the images."""

    input_shape = (None, 28, 28, 1)

    def __init__(self, scores):
        self.scores = list(scores)

    def predict_on_batch(self, images):
        rows = [self.scores.pop(0) if self.scores else np.zeros(10) for _ in images]
        return np.stack(rows)


def test_evaluate__every_image_once():
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


def test_match_classes__order_of_data():
    source = load_dataset("fashion_mnist_mini", "test[:2%]")
    labels = [int(source.fetch(index)[1]) for index in range(len(source))]
    order = np.random.default_rng(0).permutation(10)
    names = [NAMES[index] for index in order]
    scores = [(order == label).astype(float) for label in labels]
    report = evaluate_classifier(Classifier(Oracle(scores), names, 1.0), source)
    assert report.top_1 == 1
    assert report.confusion.sum() == np.trace(report.confusion) == 40


def test_match_classes__name_wordnet_id_or_order():
    imagenet = imagenet_classes()
    names = [name for _, name in imagenet]
    ids = [wordnet_id for wordnet_id, _ in imagenet]
    assert match_classes(names, ids[::-1]) == list(range(1000))[::-1]
    assert match_classes(names, names[5:8]) == [5, 6, 7]  # a part of the classes
    assert match_classes(["0", "1"], ["cat", "dog"]) == [0, 1]


def test_match_classes__says_that_it_goes_by_order(caplog):
    assert match_classes(["0", "1", "2"], ["ant", "bee", "cat"]) == [0, 1, 2]
    (line,) = (record.getMessage() for record in caplog.records)
    assert "by order, ant to cat" in line


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (["cat", "dog"], ["cat", "owl"]),
        (["cat", "dog"], ["cat", "dog", "owl"]),
        (["cat", "dog"], ["ant", "bee"]),  # as many, but others
        (["1", "2"], ["ant", "bee"]),  # these are names
        (["0", "1"], ["0", "bee"]),
        (["0", "1"], ["ant", "bee", "cat"]),
    ],
)
def test_match_classes__other_classes(model, data):
    with pytest.raises(ValueError, match=r"not known to the model .first of \d.: "):
        match_classes(model, data)


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
    assert report.figures == {
        "images": 6, "top_1": 3 / 6, "top_5": 1.0,
        "classes": 2, "model_classes": 10, "all_classes": False,
    }  # fmt: skip
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
    assert reports[0].figures == reports[1].figures
    assert "all 10 classes" in reports[0].restriction


def test_evaluate__class_without_images(tmp_path):
    confusion = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])
    report = Report(("cat", "dog", "owl"), confusion, 8)
    np.testing.assert_array_equal(report.per_class, [0.75, np.nan, 0.5])
    write_report(report, tmp_path / "report")
    files = sorted(os.listdir(tmp_path / "report"))
    assert files == ["per_class.csv", "report.json"]
    with open(tmp_path / "report" / "per_class.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[2] == {"class": "owl", "images": "4", "accuracy": "0.5"}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.keras"
    small(input_shape=(32, 48, 1), classes=10).save(path)
    return str(path)


def test_evaluate_command__report(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["evaluate", "--model", model, "--data", "fashion_mnist_mini"]
    assert main([*command, "--split", "test[:2%]"]) == 0
    output = capsys.readouterr().out
    report = json.loads((tmp_path / "evaluation" / "report.json").read_text())
    assert f"Top-1 {report['top_1']:.2%}" in output
    assert "of 40 images; 0 could not be decoded" in output
    with Image.open(tmp_path / "evaluation" / "confusion.png") as image:
        assert min(image.size) > 400

    assert main([*command, "--split", "test[:2%]", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures == report | {"corrupt": 0}
    assert (tmp_path / "evaluation-2").is_dir()


def test_evaluate_command__user_errors(model, tmp_path, capsys):
    command = ["evaluate", "--model", model, "--out", str(tmp_path / "out")]
    assert main([*command, "--data", "fashion_mnist_mini", "--split", "tset"]) == 1
    assert "tset" in capsys.readouterr().err
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        image = tmp_path / "data" / name / "1.png"
        Image.fromarray(np.zeros((40, 40), "uint8")).save(image)
    assert main([*command, "--data", str(tmp_path / "data")]) == 1
    assert "2 classes, the model 10" in capsys.readouterr().err
    assert not (tmp_path / "out" / "report.json").exists()


def test_evaluate__corrupt_images(tmp_path, capsys):
    path = tmp_path / "model.keras"
    small(input_shape=(32, 48, 1), classes=2).save(path)
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(3):
            image = tmp_path / "data" / name / f"{number}.png"
            Image.fromarray(np.full((40, 40), 9, "uint8")).save(image)
    image.write_bytes(b"no image")
    command = ["evaluate", "--model", str(path), "--data", str(tmp_path / "data")]
    assert main([*command, "--out", str(tmp_path / "one")]) == 1
    assert f"{image} cannot be read" in capsys.readouterr().err
    options = ["--skip-corrupt", "--json", "--out", str(tmp_path / "two")]
    assert main([*command, *options]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["images"], figures["corrupt"]) == (5, 1)


@pytest.fixture
def corrupt_directory(tmp_path):
    directory = write_directory(tmp_path / "data", {"ant": 1, "bee": 1})
    for path in directory.glob("*/*"):
        path.write_bytes(b"no image")
    return directory


def test_evaluate_command__only_corrupt_images(corrupt_directory, tmp_path, capsys):
    path = tmp_path / "model.keras"
    dense_classifier(classes=2).save(path)
    command = ["evaluate", "--model", str(path), "--data", str(corrupt_directory)]
    out = tmp_path / "out"
    assert main([*command, "--skip-corrupt", "--out", str(out)]) == 1
    assert "can be read or decoded: there is nothing to eval" in capsys.readouterr().err
    assert not out.exists()


def test_evaluate__corrupt_images_only(corrupt_directory):
    model = dense_classifier(classes=2)
    model.compile(loss="categorical_crossentropy", weighted_metrics=["accuracy"])
    source = load_dataset(corrupt_directory)
    with pytest.raises(ValueError, match="there is nothing to evaluate"):
        evaluate(model, source, batch_size=2, skip_corrupt=True)


@pytest.mark.parametrize(("option", "columns"), [([], 2), (["--all-classes"], 3)])
def test_evaluate_command__subset_of_classes(option, columns, tmp_path, capsys):
    run = RunDirectory.create(tmp_path / "run")
    run.write_recipe(fashion_mnist_demo(), ["ant", "bee", *"abcde"])
    dense_classifier().save(run.model)
    write_directory(tmp_path / "data", {"ant": 2, "bee": 2})
    command = ["evaluate", "--model", str(run.path), "--data", str(tmp_path / "data")]
    out = tmp_path / "out"
    assert main([*command, "--out", str(out), *option]) == 0
    among = {2: "among the 2 classes of the data set only; the model has 7"}
    among[3] = "among all 7 classes of the model"
    assert among[columns] in capsys.readouterr().out
    figures = json.loads((out / "report.json").read_text())
    assert (figures["classes"], figures["model_classes"]) == (2, 7)
    assert figures["all_classes"] is bool(option)
