"""Trains on eight host devices of the CPU in several layouts, as a process of its own.

    KERAS_BACKEND=jax python -m tests.helpers.jax_layouts DIRECTORY

Runs: ``one``, ``data`` and ``model`` from the start; ``resumed`` from a checkpoint of
``data``, in the layout of ``model``. Each leaves ``steps.json``: the running mean of the
loss, and a checksum of the images as the devices got them, at every step.
"""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import keras

from keras_tnt.training import layout_map, train, trainer
from tests.helpers.toy import toy_recipe

STEPS = 20
EPOCHS = 2
RECIPE = toy_recipe(
    model_options={"depth": 1, "dropout_rate": 0.1, "drop_path_rate": 0.2},
    augmentation=dataclasses.replace(
        toy_recipe().augmentation, mixup=0.8, cutmix=1.0, crop_scale=(0.3, 1.0)
    ),
    train_split="train[:160]",
    validation_split="test[:16]",
    batch_size=16,
    epochs=EPOCHS,
    checkpoint_every=5,
    keep_checkpoints=9,
    ema_decay=0.9,
    ema_warmup=False,
    warmup_epochs=0,
)


def strategy(layout):
    """The distribution of a layout; ``None`` for TensorFlow's default."""
    if keras.backend.backend() != "jax":
        return None
    devices = keras.distribution.list_devices()
    if layout == "one":
        return keras.distribution.DataParallel(devices=devices[:1])
    if layout == "data":
        return keras.distribution.DataParallel(devices=devices)
    mesh = keras.distribution.DeviceMesh((2, 4), ("batch", "model"), devices)
    return keras.distribution.ModelParallel(
        layout_map=layout_map(mesh), batch_dim_name="batch"
    )


class Recorder(trainer.Progress):
    """A progress bar that writes down the metrics of the steps."""

    def __init__(self, *args):
        super().__init__(*args)
        self.steps = []
        Recorder.latest = self

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append({"loss": logs["loss"], "images": logs["images"]})
        super().on_train_batch_end(batch, logs)


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


def run(directory, layout, recipe=RECIPE):
    """Train, and write what the steps had."""
    result = train(recipe, directory, strategy(layout), verbose=0)
    (directory / "steps.json").write_text(json.dumps(Recorder.latest.steps))
    return result


def main(directory, layouts):
    """Train in every layout."""
    trainer.Progress, trainer.compile_model = Recorder, compile_with_checksum
    shardings = {}
    for layout in layouts:
        result = run(directory / layout, layout)
        shardings[layout] = {
            weight.path: str(getattr(weight.value, "sharding", ""))
            for weight in (*result.model.weights, *result.model.optimizer.variables)
        }
    (directory / "shardings.json").write_text(json.dumps(shardings))
    if "data" in layouts:
        resumed = directory / "resumed"
        shutil.copytree(directory / "data", resumed)
        for path in (resumed / "checkpoints").iterdir():
            if path.stem > "step-00000015":
                path.unlink()
        lines = (resumed / "history.csv").read_text().splitlines(keepends=True)
        (resumed / "history.csv").write_text("".join(lines[:2]))
        shutil.rmtree(resumed / "best")
        run(resumed, "model")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
