"""A whole training is the same on one device, on two, and in two processes."""

import csv
import dataclasses
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from tests.helpers import run_workers, worker_train
from tests.helpers.checks import two_replicas

pytestmark = [pytest.mark.slow, pytest.mark.exclusive]

MODULE = "tests.helpers.worker_train"
FILES = {
    "checkpoints/step-00000005.safetensors",
    "checkpoints/step-00000010.safetensors",
    "checkpoints/step-00000012.safetensors",
    "history.csv",
    "model.keras",
    "recipe.json",
    "saved_model/1/saved_model.pb",
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The directory of a run on one device."""
    return local_run(tmp_path_factory, tf.distribute.OneDeviceStrategy("/cpu:0"))


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """The directory of a run on two logical devices."""
    return local_run(tmp_path_factory, two_replicas())


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """A directory with a run directory for each of two workers, ``0`` and ``1``."""
    directory = tmp_path_factory.mktemp("together")
    run_workers.run(MODULE, directory / "{}", directory=directory)
    return directory


def local_run(tmp_path_factory, strategy):
    directory = tmp_path_factory.mktemp("run")
    # Determinism would stay switched on for all later tests of this process.
    recipe = dataclasses.replace(worker_train.RECIPE, deterministic=False)
    worker_train.train_and_export(directory, strategy, recipe)
    return directory


def history(run):
    """The figures by epoch that do not depend on time."""
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        {name: float(value) for name, value in row.items() if "second" not in name}
        for row in rows
    ]


def assert_same_run(run, expected, atol):
    """Weights, optimizer, average, figures and exported probabilities agree."""
    name = f"checkpoints/step-{worker_train.STEPS:08}.safetensors"
    found, wanted = (load_file(directory / name) for directory in (run, expected))
    assert set(found) == set(wanted)
    for key, value in wanted.items():
        np.testing.assert_allclose(found[key], value, atol=atol, err_msg=key)
    for ours, theirs in zip(history(run), history(expected), strict=True):
        assert ours == pytest.approx(theirs, abs=max(atol, 1e-4))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1)).astype("float32")
    for outputs in zip(*(outputs_of(r, pixels) for r in (run, expected)), strict=True):
        np.testing.assert_allclose(*outputs, atol=max(atol, 1e-5))


def outputs_of(run, pixels):
    """Probabilities of the saved and of the exported model."""
    model = keras.saving.load_model(run / "model.keras")
    served = tf.saved_model.load(run / "saved_model/1").signatures["predict_images"]
    exported = served(images=tf.constant(pixels))["probabilities"]
    return model.predict(pixels, verbose=0), exported


def files(run):
    return {
        str(path.relative_to(run))
        for path in run.rglob("*")
        if path.is_file() and str(path.relative_to(run)) in FILES
    }


def test_train__one_device(alone):
    assert files(alone) == FILES
    first, second = history(alone)
    assert {"loss", "val_accuracy", "val_ema_accuracy"} <= set(first)
    assert second["loss"] < first["loss"]
    assert second["val_ema_loss"] != pytest.approx(second["val_loss"], abs=1e-4)


def test_train__two_devices(alone, mirrored):
    assert files(mirrored) == FILES
    assert_same_run(mirrored, alone, atol=1e-4)


def test_train__two_workers(alone, together):
    assert files(together / "0") == FILES
    assert_same_run(together / "0", alone, atol=1e-4)


def test_train__only_chief_writes(together):
    assert not (together / "1").exists()


@pytest.mark.parametrize(
    ("who", "number", "message", "checkpoint"),
    [
        (0, "SIGKILL", "worker 0 .* does not answer.*Start all workers again", 5),
        pytest.param(
            *(1, "SIGKILL", "worker 1 .* does not answer.*Start all workers again", 5),
            marks=pytest.mark.extra_large,
        ),
        (1, "SIGTERM", "stopped by SIGTERM after step 10", 10),
    ],
)
def test_train__resumes_after_lost_worker(
    who, number, message, checkpoint, together, tmp_path
):
    run = tmp_path / "run"
    with run_workers.workers(
        MODULE, run, who, 8, number, directory=tmp_path
    ) as processes:
        codes = [process.end() for process in processes]
        assert codes[1 - who] == 1
        assert codes[who] == (-9 if number == "SIGKILL" else 1)
        assert re.search(message, processes[1 - who].output())
    newest = max((run / "checkpoints").glob("step-*"))
    assert newest.name == f"step-{checkpoint:08}.safetensors"
    outputs = run_workers.run(MODULE, run, directory=tmp_path)
    assert f"Resuming after step {checkpoint}" in outputs[0]
    assert_same_run(run, together / "0", atol=1e-5)


def test_train__directory_not_shared(together, tmp_path):
    """One would go on after a checkpoint, the other begin anew."""
    (tmp_path / "0").symlink_to(together / "0")
    with run_workers.workers(MODULE, tmp_path / "{}", directory=tmp_path) as processes:
        for process in processes:
            assert process.end() == 1
            assert "All workers must share the run directory." in process.output()


def test_train__chief_fails(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "notes.txt").write_text("mine")
    with run_workers.workers(MODULE, tmp_path / "{}", directory=tmp_path) as processes:
        assert [process.end() for process in processes] == [1, 1]
        assert "is not an empty directory" in processes[0].output()
        assert re.search("RuntimeError: worker 0 .* does not", processes[1].output())
