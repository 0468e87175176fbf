"""Faults that `keras_tnt.compat.keras_training` works around."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.compat import keras_training
from tests.helpers.small import pixels, small


class Counted(keras.layers.Layer):
    """Counts how often it is called."""

    calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs


def count_traces(prepare):
    counted = Counted()
    model = keras.Sequential([keras.Input((4,)), counted, keras.layers.Dense(3)])
    model.compile("adam", "mse")
    prepare(model)
    counted.calls = 0
    model.train_on_batch(np.ones((2, 4)), np.ones((2, 3)))
    return counted.calls


def test_build_optimizer__still_present():
    assert count_traces(keras_training.build_optimizer) == 1
    assert count_traces(lambda model: None) == 2, (
        "Keras traces the first step once: "
        "remove keras_tnt.compat.keras_training.build_optimizer"
    )


def hub_classifier():
    hub = pytest.importorskip("keras_tnt.keras_hub")
    backbone = hub.TNTBackbone(
        image_shape=(32, 48, 3), outer_dim=48, inner_dim=12, depth=1, outer_num_heads=3
    )
    return hub.TNTImageClassifier(backbone, 2)


@pytest.mark.parametrize("build", [small, hub_classifier])
def test_mended_loops__one_trace_of_the_first_step(build):
    model, traces = build(), []
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    step = model.train_step
    model.train_step = lambda data: traces.append(data) or step(data)
    model.train_on_batch(pixels(model, 2).astype("float32"), np.array([0, 1]))
    assert len(traces) == 1


def count_starts_of_pipeline(model):
    """Return how often the second evaluation of a model starts its pipeline."""
    starts = []
    shapes = [(2, *shape[1:]) for shape in (model.input_shape, model.output_shape)]

    def batches():
        starts.append(True)
        yield tuple(np.ones(shape) for shape in shapes)

    dataset = tf.data.Dataset.from_generator(
        batches, output_signature=tuple(tf.TensorSpec(shape) for shape in shapes)
    )
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    dataset = strategy.experimental_distribute_dataset(dataset)
    model.evaluate(dataset, steps=1, verbose=0)
    starts.clear()
    model.evaluate(dataset, steps=1, verbose=0)
    return len(starts)


def test_mended_loops__one_start_of_the_pipeline():
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        ours = small()
        plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        for model in (ours, plain):
            model.compile("sgd", "mse", metrics=["mae"])
    assert count_starts_of_pipeline(ours) == 1
    assert count_starts_of_pipeline(plain) == 2, (
        "Keras reads no batch for what is built: remove _maybe_symbolic_build of "
        "keras_tnt.compat.keras_training.MendedLoops"
    )


def test_output_logits__of_an_unchanged_activation():
    images = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    for activation in ("softmax", "sigmoid"):
        dense = keras.layers.Dense(3, activation)
        scores = dense(images)
        expected = images @ dense.kernel.numpy()
        found = keras_training.output_logits(scores)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    for other in (scores * 1, np.ones((2, 3)), keras.ops.tanh(expected)):
        with pytest.raises(ValueError, match="not the output of a softmax"):
            keras_training.output_logits(other)


def test_output_logits__still_present():
    class Recorded(keras.losses.Loss):
        def call(self, y_true, y_pred):
            found.append(hasattr(y_pred, "_keras_logits"))
            return keras.ops.mean(keras_training.output_logits(y_pred), axis=-1)

    found = []
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
        model.compile("sgd", Recorded())
    model.train_on_batch(np.ones((2, 4)), np.ones((2, 3)))
    assert all(found[1:])
    assert found[0] is False, (
        "Keras calls losses with logits only: simplify "
        "keras_tnt.compat.keras_training.output_logits"
    )


def test_decays__still_present(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    (bias,) = (v for v in model.trainable_variables if v.name == "bias")
    optimizer.exclude_from_weight_decay([bias])
    model.compile(optimizer, "mse")
    keras_training.build_optimizer(model)
    model.save(tmp_path / "model.keras")
    fresh = keras.saving.load_model(tmp_path / "model.keras")
    (bias,) = (v for v in fresh.trainable_variables if v.name == "bias")
    bias.assign(np.ones(3))
    gradients = [0 * variable for variable in fresh.trainable_variables]
    fresh.optimizer.apply(gradients, fresh.trainable_variables)
    assert np.all(bias != 1), (
        "Keras saves exclude_from_weight_decay: "
        "remove keras_tnt.compat.keras_training.decays"
    )


def test_loss_per_image__still_present():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Identity()])
    model.compile(loss="mse")
    images, padding = np.ones((3, 1)), [[0.0]]
    found = model.evaluate(
        np.concatenate([images, padding]),
        np.zeros((4, 1)),
        sample_weight=np.array([1, 1, 1, 0]),
        batch_size=2,
        verbose=0,
    )
    assert keras_training.loss_per_image(found, 2, 2, 3) == 1
    assert found != 1, (
        "Keras divides the loss by the sum of the weights: "
        "remove keras_tnt.compat.keras_training.loss_per_image"
    )


READ_IN_FIT = """
import keras, numpy as np
from keras_tnt.compat.keras_training import update_variables

class Read(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        try:
            kernel.numpy()
        except TypeError as error:
            print(error)
        update_variables(model)
        print(kernel.numpy())

model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
kernel = model.weights[0]
kernel.assign([[1.0]])
# The gradient is 1.
model.compile(keras.optimizers.SGD(0.5), loss=lambda labels, outputs: outputs)
model.fit(np.ones((2, 1)), np.ones(2), batch_size=1, callbacks=[Read()], verbose=0)
"""


@pytest.mark.processes
@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="needs JAX")
def test_update_variables__read_within_fit_on_jax():
    done = subprocess.run(
        [sys.executable, "-c", READ_IN_FIT],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    fault = "'NoneType' object is not callable"
    assert done.stdout.splitlines() == [fault, "[[0.5]]", fault, "[[0.]]"]
