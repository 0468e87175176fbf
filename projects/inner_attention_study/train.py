"""One training of the study, in a process of its own; started by run.py.

    python projects/inner_attention_study/train.py '{"phase": "main", "variant": "tnt", ...}'

Its last line is a JSON object with the run's fields and what came of it.
"""

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import math
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import keras
import numpy as np
import tensorflow as tf
from fashion_mnist import load
from plan import BATCH, VARIANTS, Run
from xla_program import multiply_adds

import keras_tnt
from keras_tnt.training import AdamW
from keras_tnt.training.optimizer import warmup_cosine

EVALUATIONS = 8
WARMUP = 1 / 12  # of the steps
STEPS_PER_EXECUTION = 30


def main():
    """Trains and tells."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="the fields of a Run, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    run = Run(**json.loads(options.run))
    record = train(run, *load(run.held_out))
    print(json.dumps(record | {"threads": options.threads}))


def build(variant):
    """Builds a variant's model, without the position embeddings that it lacks."""
    options = dict(VARIANTS[variant])
    without = options.pop("without", ())
    images = keras.Input((28, 28, 1))
    if "depths" in options:
        builder = keras_tnt.PyramidTNT
        inputs = keras.layers.ZeroPadding2D(2)(images)  # to whole patches of 8x8
    else:
        builder, inputs = keras_tnt.TNT, images
    model = builder(
        **options,
        drop_path_rate=0.1,
        classes=10,
        input_tensor=inputs,
        classifier_activation=None,
        name=variant,
    )
    for layer in without:
        positions = model.get_layer(layer).position_embedding
        positions.assign(np.zeros(positions.shape))
        positions.trainable = False
    return model


def batches(images, labels, run):
    """Batches to train on: an order and flips that follow from the seed alone."""
    rng = np.random.default_rng(run.seed)
    chosen = rng.permutation(len(images))[: run.pictures]
    needed = run.steps * BATCH
    epochs = [rng.permutation(chosen) for _ in range(-(-needed // len(chosen)))]
    order = np.concatenate(epochs)[:needed].reshape(run.steps, BATCH)
    flips = rng.random(order.shape) < 0.5
    images, labels = tf.constant(images), tf.one_hot(labels, 10)

    def batch(indices, flipped):
        pictures = tf.gather(images, indices)
        flipped = flipped[:, None, None, None]
        pictures = tf.where(flipped, pictures[:, :, ::-1], pictures)
        return pictures, tf.gather(labels, indices)

    data = tf.data.Dataset.from_tensor_slices((order, flips))
    return fixed(data.map(batch).prefetch(STEPS_PER_EXECUTION))


def fixed(data):
    """The same data without autotuning, whose thread can hold up the end of a pass."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)


def train(run, training, evaluation):
    """Trains and evaluates a model.

    Args:
        run: a `Run`.
        training: images ``(n, 28, 28, 1)`` and labels ``(n,)``, uint8.
        evaluation: the same to evaluate on.

    Returns:
        A dict of the run's fields, what the model costs, and what came of it.
    """
    keras.utils.set_random_seed(run.seed)
    steps = run.steps // EVALUATIONS
    model = build(run.variant)
    schedule = warmup_cosine(
        run.learning_rate,
        run.learning_rate / 100,
        round(WARMUP * run.steps),
        run.steps,
    )
    model.compile(
        AdamW(schedule, weight_decay=0.05),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        steps_per_execution=math.gcd(STEPS_PER_EXECUTION, steps),
    )
    images, labels = evaluation
    test = tf.data.Dataset.from_tensor_slices((images, tf.one_hot(labels, 10)))
    test = fixed(test.batch(500).prefetch(2))
    started = time.perf_counter()
    history = model.fit(
        batches(*training, run),
        epochs=EVALUATIONS,
        steps_per_epoch=steps,
        validation_data=test,
        shuffle=False,  # it is
        verbose=0,
    ).history
    seconds = time.perf_counter() - started
    return dataclasses.asdict(run) | {
        "accuracy": history["val_accuracy"][-1],
        "loss": history["val_loss"][-1],
        "curves": {
            name: [round(value, 5) for value in history[name]] for name in history
        },
        "parameters": sum(
            int(np.prod(variable.shape)) for variable in model.trainable_variables
        ),
        "multiply_adds": multiply_adds(model),
        "seconds": round(seconds, 1),
        "images_per_second": round(EVALUATIONS * steps * BATCH / seconds),
        "date": datetime.date.today().isoformat(),
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("keras", "tensorflow", "keras-tnt")
        },
    }


if __name__ == "__main__":
    main()
