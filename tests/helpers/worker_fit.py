"""What one worker of `tests/distribute` does: train, evaluate and predict.

As a function it does the same under any strategy.
"""

import json
import os
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_tnt import distribute
from keras_tnt.compat.multi_worker import MultiWorkerStrategy
from keras_tnt.training import AdamW
from tests.helpers.small import small

STEPS = 20
BATCH = 4


class Losses(keras.callbacks.Callback):
    """Keeps the mean loss after each step."""

    def on_train_begin(self, logs=None):
        self.values = []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(float(logs["loss"]))


def batches(steps, model):
    """A function for `distribute`: each replica's part of the same global batches."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (steps, BATCH, *model.input_shape[1:]), "uint8")
    labels = np.eye(7, dtype="float32")[rng.integers(0, 7, (steps, BATCH))]

    def parts(worker, workers, replicas):
        def split(values):
            values = values.reshape(steps, workers, replicas, -1, *values.shape[2:])
            return values[:, worker].reshape(steps * replicas, -1, *values.shape[4:])

        return tf.data.Dataset.from_tensor_slices((split(images), split(labels)))

    return parts


def fit(strategy):
    """Trains without randomness; a dict of arrays that must not depend on where."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = small(depth=1)
        model.compile(
            AdamW(1e-3, weight_decay=0.05),
            keras.losses.CategoricalCrossentropy(),
            weighted_metrics=["accuracy"],
        )
    train = distribute.distribute_dataset(strategy, batches(STEPS, model))
    test = distribute.distribute_dataset(strategy, batches(3, model))
    losses = Losses()
    history = model.fit(
        train,
        steps_per_epoch=STEPS // 2,
        epochs=2,
        validation_data=test,
        validation_steps=3,
        shuffle=False,
        callbacks=[losses],
        verbose=0,
    ).history
    evaluation = model.evaluate(test, steps=3, verbose=0, return_dict=True)
    images = distribute.distribute_dataset(
        strategy, lambda *place: batches(3, model)(*place).map(lambda x, y: x)
    )
    return {
        "losses": losses.values,
        "predictions": model.predict(images, steps=3, verbose=0),
        **{f"history/{name}": values for name, values in history.items()},
        **{f"evaluation/{name}": value for name, value in evaluation.items()},
        **{weight.path: weight.numpy() for weight in model.weights},
    }, model


def faults(strategy, model):
    """The faults of Keras that are still there, by what is not repaired."""
    ours, theirs = MultiWorkerStrategy.reduce, tf.distribute.Strategy.reduce

    def except_batches(self, reduce_op, value, axis):
        is_batch = isinstance(value, tuple)
        return (theirs if is_batch else ours)(self, reduce_op, value, axis)

    def except_scalars(self, reduce_op, value, axis):
        return (theirs if axis == 0 else ours)(self, reduce_op, value, axis)

    with strategy.scope():
        plain = keras.Model(model.inputs, model.outputs)
        plain.compile("sgd", "categorical_crossentropy")
    data = distribute.distribute_dataset(strategy, batches(3, model))
    found = []
    for repair in (ours, except_batches, except_scalars):
        MultiWorkerStrategy.reduce = repair
        plain.make_train_function(force=True)
        try:
            plain.fit(data, steps_per_epoch=1, shuffle=False, verbose=0)
        except ValueError:
            found.append(repair.__name__)
    MultiWorkerStrategy.reduce = ours
    return found


def main(directory):
    """Writes what this worker found to files of its own."""
    strategy = distribute.create_strategy()
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    arrays, model = fit(strategy)
    facts = {
        "strategy": type(strategy).__name__,
        "workers": distribute.worker_count(strategy),
        "chief": distribute.is_chief(strategy),
        "any": [distribute.any_worker(strategy, index == who) for who in (0, 1, 2)],
        "total": distribute.total(strategy, 10**12 + index),
        "faults": faults(strategy, model),
    }
    distribute.check_agreement(strategy, 3, "the same")
    try:
        distribute.check_agreement(strategy, index, "step", "Share the directory.")
    except RuntimeError as error:
        facts["disagreement"] = str(error)
    np.savez(directory / f"{index}.npz", **arrays)
    (directory / f"{index}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
