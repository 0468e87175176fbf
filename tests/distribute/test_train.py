"""A whole training is the same on one device, on two, and in two processes."""

import dataclasses
import re

import pytest
import tensorflow as tf

from tests.helpers import run_workers, worker_train
from tests.helpers.checks import two_replicas
from tests.helpers.runs import assert_same_run, history

pytestmark = pytest.mark.processes

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


def local_run(tmp_path_factory, strategy):
    directory = tmp_path_factory.mktemp("run")
    # Determinism would stay switched on for all later tests of this process.
    recipe = dataclasses.replace(worker_train.RECIPE, deterministic=False)
    worker_train.train_and_export(directory, strategy, recipe)
    return directory


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


def test_train__directory_not_shared(together, tmp_path):
    """One would go on after a checkpoint, the other begin anew."""
    (tmp_path / "0").symlink_to(together / "0")
    with run_workers.workers(
        worker_train.MODULE, tmp_path / "{}", directory=tmp_path
    ) as processes:
        for process in processes:
            assert process.end() == 1
            assert "All workers must share the run directory." in process.output()


def test_train__chief_fails(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "notes.txt").write_text("mine")
    with run_workers.workers(
        worker_train.MODULE, tmp_path / "{}", directory=tmp_path
    ) as processes:
        assert [process.end() for process in processes] == [1, 1]
        assert "is not an empty directory" in processes[0].output()
        assert re.search("RuntimeError: worker 0 .* does not", processes[1].output())
