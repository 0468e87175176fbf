"""The command line: what it prints, where, and with which exit status."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_tnt
from keras_tnt.cli import main, predict
from keras_tnt.images import imagenet_classes
from keras_tnt.inference.classification import predict_files
from keras_tnt.inference.classifier import load_classifier
from keras_tnt.training import fashion_mnist_demo
from keras_tnt.training.run_directory import RunDirectory
from tests.helpers import ASSETS
from tests.helpers.hub_server import HubServer
from tests.helpers.reference import published_tensors
from tests.helpers.small import dense_classifier, small

PHOTOS = sorted(str(path) for path in ASSETS.glob("astronaut_*.png"))
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


def test_predict__text(run, capsys):
    assert main(["predict", *PHOTOS, "--model", run, "--top", "2"]) == 0
    lines = []
    for path, classes in expected(run, top=2):
        lines += [path, *(f"  {s:7.2%}  {name}" for name, s in classes.items())]
    assert capsys.readouterr() == ("\n".join(lines) + "\n", "")


def test_predict__json(run, capsys):
    assert main(["predict", str(ASSETS / "astro*.png"), "--model", run, "--json"]) == 0
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
        (["demo", "--out", str(ASSETS)], "exists and is not an empty directory"),
        (
            ["evaluate", "--model=m", "--data=d", "--batch-size=0"],
            "--batch-size must be at least 1, got 0",
        ),
        (["benchmark", "--image-size=-16"], "--image-size must be at least 1, got -16"),
        (["demo", "--out", "gs://bucket/run"], "'gs://bucket/run': it is a URL"),
        (
            ["evaluate", "--model=m", "--data=d", "--out=gs://b"],
            "'gs://b': it is a URL",
        ),
        (
            ["train", "--recipe", "fashion_mnist_demo", "--out", "s3://bucket/run"],
            "'s3://bucket/run': it is a URL",
        ),
        (
            ["train", "--recipe", "fashion_mnist_demo", "--learning-rate", "0"],
            "learning_rate must be more than 0 and finite, got 0.0",
        ),
    ],
)
def test_main__user_error_in_one_line(arguments, message, capsys):
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
def test_main__usage(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: keras-tnt" in capsys.readouterr().err


def test_main__version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"{keras_tnt.__version__}\n"


def test_demo__failure_leaves_no_directory(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--epochs", "0"]) == 1
    assert "epochs must be at least 1, got 0" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def raised_elsewhere(options):
    raise ValueError("a bug")


def in_keras(options):
    keras.layers.Dense(-1)


def in_python(options):
    int("many")


@pytest.mark.parametrize("bug", [raised_elsewhere, in_keras, in_python])
def test_main__a_bug_shows_its_traceback(bug, monkeypatch):
    monkeypatch.setattr(predict, "run", bug)
    with pytest.raises(ValueError, match=r"a bug|units|many"):
        main(["predict", PHOTOS[0]])


def test_main__a_bug_in_the_package_shows_its_traceback(monkeypatch):
    """An error that the package does not raise, but its own line causes."""
    monkeypatch.setattr(predict, "predict_files", lambda *_, **__: [(1, 2, 3)])
    monkeypatch.setattr(predict, "load_classifier", lambda source, precision: None)
    with pytest.raises(ValueError, match="too many values to unpack"):
        main(["predict", PHOTOS[0]])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--debug", "predict", "no/such.png"],
        ["predict", "no/such.png", "--debug"],
        ["predict", PHOTOS[0], "--top", "0", "--debug"],
    ],
)
def test_main__debug_raises_every_error(arguments, capsys):
    with pytest.raises((FileNotFoundError, ValueError), match=r"No image|--top"):
        main(arguments)
    assert capsys.readouterr().err == ""


def call(*command, **environment):
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
    )


@pytest.mark.processes
def test_main__python_m(run):
    """Whatever TensorFlow logs, standard output is the answers alone."""
    command = (sys.executable, "-m", "keras_tnt", "predict", *PHOTOS)
    good = call(*command, "--model", run, "--json")
    assert good.returncode == 0, good.stderr[-2000:]
    records = [json.loads(line) for line in good.stdout.splitlines()]
    assert [record["path"] for record in records] == PHOTOS

    bad = call(*command, "--model", "nothing")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "keras-tnt: There is no model 'nothing'." in bad.stderr


@pytest.mark.processes
def test_main__installed_command():
    command = Path(sys.executable).with_name("keras-tnt")
    if not command.exists():
        pytest.skip("keras-tnt runs from its source directory, it is not installed")
    process = call(str(command), "--help")
    assert process.returncode == 0
    assert "demo" in process.stdout
    assert "predict" in process.stdout


@pytest.mark.extra_large
def test_predict__published_weights(tmp_path):
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


# What Windows does: another encoding than UTF-8 for files and for what is printed, no
# links, no module `resource`. And -OO, which removes docstrings and assertions.
ELSEWHERE = """
import os, sys, warnings
from pathlib import Path

def forbidden(*arguments, **options):
    raise OSError(1314, "A required privilege is not held by the client")

os.symlink = os.link = forbidden
sys.modules["resource"] = None
warnings.filterwarnings("error", category=EncodingWarning, module="keras_tnt")

from keras_tnt.cli import main
from keras_tnt.training import RunDirectory
from keras_tnt.training.history import History

if main.__doc__ or open(os.devnull).encoding == "utf-8":
    sys.exit("This is not what the test is for.")
run, images, out = sys.argv[1:]
for command in (
    ["predict", images, "--model", run, "--top", "3"],
    ["predict", images, "--model", str(Path(run, "model")), "--top", "3"],
    ["evaluate", "--data", images, "--model", run, "--out", out],
):
    status = main(command)
    if status:
        sys.exit(status)
recipe, names = RunDirectory(run).read_recipe()
RunDirectory(run).write_recipe(recipe, names)
for epoch in (1, 2):
    History(Path(out, "history.csv")).write({"epoch": epoch, "größe_靴": 1})
main(["train", "--help"])
"""


@pytest.mark.processes
def test_main__where_the_encoding_is_not_utf_8(tmp_path):
    names = ["größe", "katze", "靴"]
    run = RunDirectory.create(tmp_path / "run")
    run.write_recipe(fashion_mnist_demo(), names)
    dense_classifier(classes=3, input_shape=(32, 48, 3)).save(run.model)
    shutil.copy(run.model, run.path / "model")
    for name in names:
        (tmp_path / "images" / name).mkdir(parents=True)
        shutil.copy(PHOTOS[0], tmp_path / "images" / name / "靴.png")
    shutil.copy(PHOTOS[0], tmp_path / "images" / "靴.png")
    flags = ["-OO", "-X", "utf8=0", "-X", "warn_default_encoding"]
    script = tmp_path / "script.py"
    script.write_text(ELSEWHERE, encoding="utf-8")
    arguments = [run.path, tmp_path / "images", tmp_path / "out"]
    process = subprocess.run(
        [sys.executable, *flags, script, *arguments],
        capture_output=True,
        timeout=300,
        env=os.environ
        | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    )
    assert process.returncode == 0, process.stderr[-2000:]
    printed = process.stdout.decode("ascii")
    assert "katze" in printed
    assert "gr??e" in printed
    assert "--checkpoint-every" in printed
    report = (tmp_path / "out" / "per_class.csv").read_text(encoding="utf-8")
    assert [line.split(",")[0] for line in report.splitlines()[1:]] == names
    assert "größe_靴" in (tmp_path / "out" / "history.csv").read_text(encoding="utf-8")
