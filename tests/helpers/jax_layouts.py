"""Trains on eight host devices of the CPU in several layouts, as a process of its own.

    KERAS_BACKEND=jax python -m tests.helpers.jax_layouts layouts DIRECTORY

- ``layouts`` makes the runs ``one``, ``data`` and ``model``, and ``resumed`` from a
  checkpoint of ``data``, in the layout of ``model``. ``steps.json`` has the running
  mean of the loss, and a checksum of the images as the devices got them, by step.
- ``killed`` gets SIGKILL in a run on one device.
- ``stopped`` resumes it, gets SIGTERM, and resumes again.
"""

import dataclasses
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import keras

from keras_tnt.training import (
    TrainingInterrupted,
    layout_map,
    train,
    trainer,
    training_run,
)
from tests.helpers.toy import toy_recipe

RECIPE = toy_recipe(
    model_options={"depth": 1, "dropout_rate": 0.1, "drop_path_rate": 0.2},
    augmentation=dataclasses.replace(
        toy_recipe().augmentation, mixup=0.8, cutmix=1.0, crop_scale=(0.3, 1.0)
    ),
    train_split="train[:160]",
    validation_split="test[:16]",
    batch_size=16,
    epochs=2,
    checkpoint_every=4,
    keep_checkpoints=9,
    ema_decay=0.9,
    ema_warmup=False,
    warmup_epochs=0,
)


def strategy(layout):
    """The distribution of a layout."""
    devices = keras.distribution.list_devices()
    if layout == "one":
        return keras.distribution.DataParallel(devices=devices[:1])
    if layout == "data":
        return keras.distribution.DataParallel(devices=devices)
    mesh = keras.distribution.DeviceMesh((2, 4), ("batch", "model"), devices)
    return keras.distribution.ModelParallel(
        layout_map=layout_map(mesh), batch_dim_name="batch"
    )


class Recorder(training_run.Progress):
    """A progress bar that writes down the metrics of the steps."""

    def __init__(self, *args):
        super().__init__(*args)
        self.steps = []
        Recorder.latest = self

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append({name: float(logs[name]) for name in ("loss", "images")})
        super().on_train_batch_end(batch, logs)


class KilledAtStep6(Recorder):
    """A progress bar in whose sixth step the process gets SIGKILL."""

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if len(self.steps) == 6:
            os.kill(os.getpid(), signal.SIGKILL)


class StoppedWhenSwappedIn(training_run.ExponentialMovingAverage):
    """An average whose process gets SIGTERM during its evaluation."""

    def copy_to_model(self):
        super().copy_to_model()
        os.kill(os.getpid(), signal.SIGTERM)


def compile_with_checksum(model, recipe, steps_per_epoch):
    """Compile a model whose metrics have the mean of the images times their number."""
    compile_model(model, recipe, steps_per_epoch)
    compute_metrics = model.compute_metrics

    def with_checksum(x, y, y_pred, sample_weight=None):
        metrics = compute_metrics(x, y, y_pred, sample_weight)
        means = keras.ops.mean(x, axis=(1, 2, 3))
        numbers = keras.ops.arange(1, x.shape[0] + 1, dtype="float32")
        return {**metrics, "images": keras.ops.mean(means * numbers)}

    model.compute_metrics = with_checksum


compile_model = trainer.compile_model


def run(directory, layout):
    """Train, and write what the steps had."""
    result = train(RECIPE, directory, strategy(layout), verbose=0)
    (directory / "steps.json").write_text(json.dumps(Recorder.latest.steps))
    return result


def train_in_layouts(directory):
    """Train in every layout."""
    shardings = {}
    for layout in ("one", "data", "model"):
        result = run(directory / layout, layout)
        shardings[layout] = {
            variable.path: str(variable.value.sharding)
            for variable in (*result.model.weights, *result.model.optimizer.variables)
        }
    (directory / "shardings.json").write_text(json.dumps(shardings))
    resumed = directory / "resumed"
    shutil.copytree(directory / "data", resumed)
    shutil.rmtree(resumed / "best")
    for path in sorted((resumed / "checkpoints").iterdir())[3:]:
        path.unlink()
    lines = (resumed / "history.csv").read_text().splitlines(keepends=True)
    (resumed / "history.csv").write_text("".join(lines[:2]))
    run(resumed, "model")


def train_until_killed(directory):
    """Train on one device, and be killed in the first epoch."""
    training_run.Progress = KilledAtStep6
    run(directory, "one")


def stop_and_resume(directory):
    """Resume; be stopped in the evaluation of the first epoch's average; resume."""
    average = training_run.ExponentialMovingAverage
    training_run.ExponentialMovingAverage = StoppedWhenSwappedIn
    try:
        run(directory, "one")
    except TrainingInterrupted as stopped:
        print(stopped)
    training_run.ExponentialMovingAverage = average
    run(directory, "one")


if __name__ == "__main__":
    training_run.Progress, trainer.compile_model = Recorder, compile_with_checksum
    {
        "layouts": train_in_layouts,
        "killed": train_until_killed,
        "stopped": stop_and_resume,
    }[sys.argv[1]](Path(sys.argv[2]))
