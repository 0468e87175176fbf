"""The demo: every file it promises, numbers that are true, and the same ones again."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from keras_tnt.cli import main
from keras_tnt.data import fashion_mnist_mini, fashion_mnist_mini_class_names
from keras_tnt.export import check_saved_model, export_model
from keras_tnt.inference.classification import find_images, predict_files
from keras_tnt.inference.classifier import load_classifier
from keras_tnt.training import RunDirectory
from keras_tnt.training.history import History

pytestmark = [pytest.mark.end_to_end]

# Every run has a process of its own, so that they run side by side.
TOY = """
import dataclasses, json, sys

from keras_tnt.cli.demo import run_demo
from keras_tnt.training import RunDirectory, fashion_mnist_demo

recipe = fashion_mnist_demo()
recipe = dataclasses.replace(
    recipe,
    model_options=recipe.model_options
    | {"depth": 1, "dropout_rate": 0.1, "drop_path_rate": 0.1},
    train_split="train[:2%]",
    validation_split="test[:5%]",
    epochs=2,
    batch_size=16,
    seed=int(sys.argv[2]),
)
run = RunDirectory.create(sys.argv[1])
result = run_demo(run, recipe)
print("RESULT", json.dumps(result._asdict()))
"""


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """Three toy runs, side by side: two with the same seed, one with another."""
    directory = tmp_path_factory.mktemp("runs")
    seeds = {"first": "0", "same": "0", "other": "1"}
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-c", TOY, str(directory / name), seed],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, seed in seeds.items()
    }
    toys = {}
    for name, process in processes.items():
        output, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors[-3000:]
        result = json.loads(output.split("RESULT")[1])
        toys[name] = SimpleNamespace(
            run=RunDirectory(directory / name), result=SimpleNamespace(**result)
        )
    return toys


@pytest.fixture
def toy(toys):
    return toys["first"]


def check_files(run):
    """The directory holds what it says, nothing else, and all of it is sound."""
    for path, what in run.contents():
        assert path.exists(), f"{path} is missing: {what}"
    promised = {path.relative_to(run.path).parts[0] for path, _ in run.contents()}
    assert set(os.listdir(run.path)) == promised
    assert os.listdir(run.saved_model) == ["1"]
    for path in (run.curves, run.predictions, run.attention):
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert min(image.size) > 300


def test_run_demo__files(toy):
    check_files(toy.run)


def test_run_demo__history(toy):
    recipe, class_names = toy.run.read_recipe()
    assert tuple(class_names) == fashion_mnist_mini_class_names()
    with open(toy.run.history, newline="") as file:
        rows = list(csv.DictReader(file))
    assert (
        [int(row["epoch"]) for row in rows] == [1, 2] == [*range(1, recipe.epochs + 1)]
    )
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    last = float(rows[-1]["val_accuracy"])
    assert toy.result.accuracy == pytest.approx(last, abs=1e-6)


def test_run_demo__accuracy_of_saved_model(toy):
    images, labels = next(iter(fashion_mnist_mini("test[:5%]").batch(100)))
    assert toy.result.test_images == len(labels) == 100
    model = keras.saving.load_model(toy.run.model)
    probabilities = model.predict(images, verbose=0)
    accuracy = np.mean(probabilities.argmax(axis=1) == labels)
    assert accuracy == pytest.approx(toy.result.accuracy, abs=1e-9)
    assert toy.result.export_difference <= 1e-5
    version = toy.run.saved_model / "1"
    check_saved_model(version, images.numpy().astype("float32"), probabilities)


def test_run_demo__predict_its_images(toy):
    """An image of every class, each under its name, bit for bit as in the data."""
    images = find_images([str(toy.run.images)])
    classifier = load_classifier(str(toy.run.path))
    names = {
        name.lower().replace(" ", "_").replace("/", "_"): name
        for name in classifier.class_names
    }
    assert {path.stem for path in images} == set(names)
    data = list(fashion_mnist_mini("test[:5%]").as_numpy_iterator())
    for path, prediction in zip(
        images, predict_files(classifier, images, top=10), strict=True
    ):
        label = classifier.class_names.index(names[path.stem])
        image = next(image for image, true_label in data if true_label == label)
        with Image.open(path) as picture:
            np.testing.assert_array_equal(np.asarray(picture), image[..., 0])
        expected = classifier.model.predict_on_batch(image[None])[0]
        for name, score in prediction.classes:
            index = classifier.class_names.index(name)
            assert score == pytest.approx(expected[index], abs=1e-6)


def weights(run):
    return keras.saving.load_model(run.model, compile=False).get_weights()


def figures(run):
    """The history without its speeds."""
    rows = History(run.history).rows()
    return [{k: v for k, v in row.items() if k != "images_per_second"} for row in rows]


def test_run_demo__same_seed(toys):
    first, same = toys["first"], toys["same"]
    assert figures(first.run) == figures(same.run)
    assert first.result.accuracy == same.result.accuracy
    for ours, theirs in zip(weights(first.run), weights(same.run), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_run_demo__another_seed(toys):
    first, other = toys["first"], toys["other"]
    assert figures(first.run) != figures(other.run)
    assert other.run.read_recipe()[0].seed == 1
    kernels = [
        (ours, theirs)
        for ours, theirs in zip(weights(first.run), weights(other.run), strict=True)
        if ours.ndim > 1
    ]
    assert all(np.any(ours != theirs) for ours, theirs in kernels)


def test_demo_command__all_epochs(tmp_path):
    """A quarter of what `make demo` runs: the accuracy rises, and all files."""
    run = RunDirectory(tmp_path / "run")
    process = subprocess.run(
        [sys.executable, "-m", "keras_tnt", "demo", "--epochs=3", "--out", run.path],
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    check_files(run)
    output = process.stdout
    accuracy = float(re.search(r"Test accuracy ([\d.]+)% on 2000 images", output)[1])
    assert accuracy >= 70
    with open(run.history, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert float(rows[-1]["val_accuracy"]) == pytest.approx(accuracy / 100, abs=1e-4)
    for path, what in run.contents():
        assert re.search(rf"{re.escape(str(path))} +{what}\n", output)
    commands = output.partition("Try next:\n")[2].splitlines()
    assert len(commands) == 3
    # The first of the commands to try next, as it is printed.
    arguments = commands[0].split()
    assert arguments[0] == "keras-tnt"
    next_step = subprocess.run(
        [sys.executable, "-m", "keras_tnt", *arguments[1:]],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert next_step.returncode == 0, next_step.stderr[-3000:]
    assert str(Path(run.images) / "ankle_boot.png") in next_step.stdout
    check_lower_precision(run, tmp_path)


def check_lower_precision(run, directory):
    """Exports in lower precision give nearly all images the same class."""
    model = load_classifier(run.path).model
    images = np.stack([i for i, _ in fashion_mnist_mini("test").as_numpy_iterator()])
    images = images.astype("float32")
    expected = model.predict(images, batch_size=250, verbose=0).argmax(axis=1)
    for file_format, precision, least in (
        ("savedmodel", "bfloat16", 0.995),
        ("openvino", "bfloat16", 0.995),
        ("litert", "int8", 0.995),
        ("onnx", "int8", 0.99),
        ("openvino", "int8", 0.98),
    ):
        path = directory / f"{file_format}-{precision}"
        export = export_model(
            model, path, file_format, precision, calibration=images[:300]
        )
        predict = load_classifier(export.path).model.predict_on_batch
        found = np.concatenate([predict(part) for part in np.split(images, 8)])
        agreement = np.mean(found.argmax(axis=1) == expected)
        assert agreement >= least, (file_format, precision, agreement)


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("matplotlib.figure", 'pip install "keras-tnt[demo]"'),
        ("tensorflow_datasets", 'pip install "keras-tnt[demo]"'),
        ("keras_tnt_demo_data", "pip install ./demo_data"),
    ],
)
def test_demo_command__missing_package(module, command, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["demo", "--out", str(tmp_path / "run")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert command in line
    assert not (tmp_path / "run").exists()
