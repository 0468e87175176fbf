"""Train one model of the study; run.py starts this as a process.

    python projects/inner_attention_study/train.py '{"variant": "tnt", ...}'

The last line of the output is a JSON object: the fields of the run and its results.
"""

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import math
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from fashion_mnist import load
from plan import BATCH, VARIANTS, Run, image_order

import keras_tnt
from keras_tnt.training import AdamW
from keras_tnt.training.schedules import warmup_cosine

EVALUATIONS = 8
WARMUP = 1 / 12  # of the steps
STEPS_PER_EXECUTION = 30


def main():
    """Train one model and print its record."""
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
    """Build a variant; zero and freeze the position embeddings that it lacks."""
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
    """Return training batches; order and flips depend on the seed only."""
    order, flips = image_order(run, len(images))
    images, labels = tf.constant(images), tf.one_hot(labels, 10)

    def batch(indices, flipped):
        chosen_images = tf.gather(images, indices)
        flipped = flipped[:, None, None, None]
        chosen_images = tf.where(flipped, chosen_images[:, :, ::-1], chosen_images)
        return chosen_images, tf.gather(labels, indices)

    data = tf.data.Dataset.from_tensor_slices((order, flips))
    return without_autotune(data.map(batch).prefetch(STEPS_PER_EXECUTION))


def without_autotune(data):
    """Disable autotuning, whose thread can delay the end of an epoch."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)


def train(run, training, evaluation):
    """Train and evaluate a model.

    Args:
        run: a `Run`.
        training: images `(n, 28, 28, 1)` and labels `(n,)`, uint8.
        evaluation: images and labels of the evaluation.

    Returns:
        A dict: the fields of the run, the cost of the model and the results.
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
    test = without_autotune(test.batch(500).prefetch(2))
    started = time.perf_counter()
    history = model.fit(
        batches(*training, run),
        epochs=EVALUATIONS,
        steps_per_epoch=steps,
        validation_data=test,
        shuffle=False,  # already shuffled
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
        "multiply_adds": keras_tnt.complexity(model).multiply_adds,
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
