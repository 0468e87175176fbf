"""What a worker does in the tests: a whole training with a recipe."""

import dataclasses
import os
import signal
import sys
from pathlib import Path

from keras_tnt import distribute, export_saved_model
from keras_tnt.data import Augmentation
from keras_tnt.training import fashion_mnist_demo, train
from keras_tnt.training.callbacks import SaveCheckpoints

MODULE = "tests.helpers.worker_train"
STEPS = 12

RECIPE = dataclasses.replace(
    fashion_mnist_demo(),
    model_options={
        "outer_dim": 16,
        "inner_dim": 4,
        "depth": 1,
        "outer_num_heads": 2,
        "inner_num_heads": 1,
        "patch_size": 14,
        "inner_stride": 7,
    },
    train_split="train[:96]",
    validation_split="test[:40]",  # no whole number of batches
    batch_size=16,
    epochs=2,
    ema_decay=0.9,
    checkpoint_every=5,
    augmentation=Augmentation(flip=0.5, mixup=0.8, cutmix=1.0),
)


def train_and_export(directory, strategy, recipe=RECIPE):
    """Trains, and exports the model from where it was trained."""
    result = train(recipe, directory, strategy, verbose=2)
    if distribute.is_chief(strategy):
        export_saved_model(result.model, directory / "saved_model")
    return result


def signal_at(step, number):
    """Sends a signal to this process after a step."""
    before = SaveCheckpoints.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        before(self, batch, logs)
        if self.step == step:
            os.kill(os.getpid(), number)

    SaveCheckpoints.on_train_batch_end = on_train_batch_end


if __name__ == "__main__":
    # The run directory, in which {} is this worker's rank; whom to send a signal, after
    # which step, and which one.
    directory, *rest = sys.argv[1:]
    strategy = distribute.create_strategy()
    rank = strategy.cluster_resolver.task_id
    if rest and int(rest[0]) == rank:
        signal_at(int(rest[1]), signal.Signals[rest[2]])
    train_and_export(Path(directory.format(rank)), strategy)
