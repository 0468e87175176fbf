"""The command line: what it prints, where, and with which exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_tnt
from keras_tnt.cli import main
from keras_tnt.images import imagenet_classes
from keras_tnt.inference.classifier import load_classifier, predict_files
from keras_tnt.training import fashion_mnist_demo
from keras_tnt.training.run_directory import RunDirectory
from tests.helpers import ASSETS
from tests.helpers.hub_server import HubServer
from tests.helpers.reference import published_tensors
from tests.helpers.small import small

DATA = ASSETS
PHOTOS = sorted(str(path) for path in DATA.glob("astronaut_*.png"))
NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a run, as far as predictions need it."""
    run = RunDirectory.create(tmp_path_factory.mktemp("runs") / "run")
    run.write_recipe(fashion_mnist_demo(), NAMES)
    small(input_shape=(32, 48, 1)).save(run.model)
    return str(run.path)


def expected(run, top=5):
    predictions = predict_files(load_classifier(run), PHOTOS, top)
    return [(path, dict(classes)) for path, classes in predictions]


def test_predict_prints_for_people(run, capsys):
    assert main(["predict", *PHOTOS, "--model", run, "--top", "2"]) == 0
    lines = []
    for path, classes in expected(run, top=2):
        lines += [path, *(f"  {s:7.2%}  {name}" for name, s in classes.items())]
    assert capsys.readouterr() == ("\n".join(lines) + "\n", "")


def test_predict_prints_for_machines(run, capsys):
    assert main(["predict", str(DATA / "astro*.png"), "--model", run, "--json"]) == 0
    output, errors = capsys.readouterr()
    records = [json.loads(line) for line in output.splitlines()]
    assert [record.keys() for record in records] == [{"path", "classes"}] * len(PHOTOS)
    for record, (path, classes) in zip(records, expected(run), strict=True):
        assert record["path"] == path
        found = {entry["class"]: entry["score"] for entry in record["classes"]}
        assert list(found) == list(classes)  # best first
        np.testing.assert_allclose(
            list(found.values()), list(classes.values()), atol=1e-6
        )
    assert errors == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "no/such.png"], "No image matches 'no/such.png'"),
        (["predict", PHOTOS[0], "--model", "nothing"], "There is no model 'nothing'"),
        (["predict", PHOTOS[0], "--model", PHOTOS[0]], "is not a model. Expected a"),
        (["predict", PHOTOS[0], "--top", "0"], "--top must be at least 1, got 0"),
        (["demo", "--out", str(DATA)], "exists and is not an empty directory"),
    ],
)
def test_mistakes_are_explained_in_a_line(arguments, message, capsys):
    assert main(arguments) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("keras-tnt: ")
    assert message in errors
    assert errors.count("\n") == 1


def test_predict__goes_on_after_a_corrupt_image(run, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"broken")
    broken = str(tmp_path / "broken.png")
    command = ["predict", PHOTOS[0], broken, PHOTOS[1], "--model", run]
    assert main(command) == 1
    output, errors = capsys.readouterr()
    assert [line for line in output.splitlines() if line[0] != " "] == PHOTOS[:2]
    first, last = errors.splitlines()
    assert first.startswith(f"keras-tnt: '{broken}' cannot be decoded: it starts with")
    assert last == "keras-tnt: 1 of 3 images could not be read."

    assert main([*command, "--json"]) == 1
    output, errors = capsys.readouterr()
    records = [json.loads(line) for line in output.splitlines()]
    assert [each["path"] for each in records] == [PHOTOS[0], broken, PHOTOS[1]]
    assert [len(each["classes"]) for each in records] == [5, 0, 5]
    assert ["error" in each for each in records] == [False, True, False]
    assert "cannot be decoded" in records[1]["error"]
    assert errors.count("\n") == 2


@pytest.mark.parametrize("arguments", [[], ["fly"], ["predict"], ["demo", "--out"]])
def test_what_cannot_be_parsed_shows_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: keras-tnt" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"{keras_tnt.__version__}\n"


def test_a_demo_that_cannot_be_leaves_no_directory(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--epochs", "1"]) == 1
    assert "epochs must be more than warmup_epochs=1" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def call(*command, **environment):
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
    )


def test_python_m_keras_tnt(run):
    """Whatever TensorFlow logs, standard output is the answers alone."""
    command = (sys.executable, "-m", "keras_tnt", "predict", *PHOTOS)
    good = call(*command, "--model", run, "--json")
    assert good.returncode == 0, good.stderr[-2000:]
    records = [json.loads(line) for line in good.stdout.splitlines()]
    assert [record["path"] for record in records] == PHOTOS

    bad = call(*command, "--model", "nothing")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "keras-tnt: There is no model 'nothing'." in bad.stderr


def test_the_installed_command():
    command = Path(sys.executable).with_name("keras-tnt")
    if not command.exists():
        pytest.skip("keras-tnt runs from its source directory, it is not installed")
    process = call(str(command), "--help")
    assert process.returncode == 0
    assert "demo" in process.stdout
    assert "predict" in process.stdout


@pytest.mark.slow
def test_a_photo_with_the_published_weights(tmp_path):
    """No --model: TNT-S from a hub on loopback, then offline from the cache."""
    source = tmp_path / "source.safetensors"
    save_file(published_tensors("timm/tnt_s_patch16_224.in1k"), source)
    command = (sys.executable, "-m", "keras_tnt", "predict", PHOTOS[0], "--json")
    environment = {
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "1",
    }
    missing = call(*command, **environment)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "keras-tnt: Could not get model.safetensors" in missing.stderr
    with HubServer() as hub:
        hub.publish("timm/tnt_s_patch16_224.in1k", source.read_bytes())
        online = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
        first = call(*command, **(environment | online))
        offline = call(*command, **environment)
    assert first.returncode == 0, first.stderr[-2000:]
    assert first.stdout == offline.stdout
    classes = [entry["class"] for entry in json.loads(first.stdout)["classes"]]
    assert len(classes) == 5
    assert set(classes) <= {name for _, name in imagenet_classes()}
