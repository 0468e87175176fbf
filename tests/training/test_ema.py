"""The moving average of the weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.training import ExponentialMovingAverage
from tests.helpers.checks import two_replicas

IMAGES = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")
LABELS = np.arange(16) % 4


def perceptron(**options):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(8, "tanh"),
            layers.BatchNormalization(momentum=0.5),
            layers.Dense(4, "softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1, **options), "sparse_categorical_crossentropy"
    )
    return model


class Weights(keras.callbacks.Callback):
    """Keeps the weights after every step."""

    def on_train_batch_end(self, batch, logs=None):
        steps.append([weight.numpy() for weight in self.model.weights])


steps = []


def expected(first, decay, warmup):
    """The average in so many words."""
    averages = first
    for t, weights in enumerate(steps, start=1):
        share = min(decay, (1 + t) / (10 + t)) if warmup else decay
        averages = [
            share * a + (1 - share) * w for a, w in zip(averages, weights, strict=True)
        ]
    return averages


@pytest.mark.parametrize(
    ("decay", "warmup", "strategy"),
    [(0.3, True, "one"), (0.999, True, "two"), (0.999, False, "one")],
)
def test_ema__average_of_steps(decay, warmup, strategy):
    """Also of batch normalization's moving statistics."""
    steps.clear()
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    with (one if strategy == "one" else two_replicas()).scope():
        model = perceptron()
    first = [weight.numpy() for weight in model.weights]
    average = ExponentialMovingAverage(decay, warmup)
    model.fit(
        IMAGES,
        LABELS,
        batch_size=4,
        epochs=3,
        verbose=0,
        callbacks=[Weights(), average],
    )
    assert len(steps) == 12
    names = {weight.name for weight in model.weights}
    assert {"moving_mean", "moving_variance", "kernel"} <= names
    by_hand = expected(first, decay, warmup)
    for ours, theirs in zip(average.variables, by_hand, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)

    own = [weight.numpy() for weight in model.weights]
    with average.swapped_in():
        for weight, value in zip(model.weights, average.variables, strict=True):
            np.testing.assert_array_equal(weight, value)
    for weight, value in zip(model.weights, own, strict=True):
        np.testing.assert_array_equal(weight, value)
    average.copy_to_model()
    for weight, value in zip(model.weights, average.variables, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_ema__error_restores_weights():
    model = perceptron()
    average = ExponentialMovingAverage(0.9)
    average.set_model(model)
    model.fit(IMAGES, LABELS, verbose=0)
    own = [weight.numpy() for weight in model.weights]
    with pytest.raises(RuntimeError, match="oops"), average.swapped_in():
        raise RuntimeError("oops")
    for weight, value in zip(model.weights, own, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_ema__accumulated_gradients():
    model = perceptron(gradient_accumulation_steps=2)
    average = ExponentialMovingAverage(0.5, warmup=True)
    moves = []
    average.set_model(model)
    average._move = moves.append
    model.fit(IMAGES, LABELS, batch_size=4, verbose=0, callbacks=[average])
    shares = [float(share) for share in moves]
    assert shares == pytest.approx([1, 2 / 11, 1, 3 / 12])


def test_ema__steps_per_execution():
    model = perceptron()
    model.compile("sgd", "sparse_categorical_crossentropy", steps_per_execution=4)
    average = ExponentialMovingAverage(0.2, warmup=True)
    average.set_model(model)
    moves = []
    average._move = moves.append
    model.fit(IMAGES, LABELS, batch_size=2, verbose=0, callbacks=[average])
    shares = [2 / 11 * 0.2**3, 0.2**4]
    assert [float(share) for share in moves] == pytest.approx(shares)


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "mixed_bfloat16"])
def test_ema__half_precision_averaged_in_float32(policy):
    """Steps that half precision rounds away move the average."""
    images = keras.Input((2,), dtype="float32")
    model = keras.Model(images, keras.layers.Dense(3, name="top", dtype=policy)(images))
    model.compile("sgd", "mse")
    kernel, bias = model.weights
    kernel.assign(np.ones((2, 3)))
    average = ExponentialMovingAverage(0.9999)
    average.set_model(model)
    average.restart(10**6)
    kernel.assign(2 * np.ones((2, 3)))
    expected = 1.0
    for step in range(10**6 + 1, 10**6 + 101):
        model.optimizer.iterations.assign(step)
        average.on_train_batch_end(0)
        expected += (1 - 0.9999) * (2 - expected)
    assert [value.dtype for value in average.variables] == ["float32"] * 2
    np.testing.assert_allclose(average.variables[0], expected * np.ones((2, 3)), 1e-5)
    with average.swapped_in():
        rounded = tf.cast(average.variables[0], kernel.dtype)
        np.testing.assert_array_equal(kernel.value, rounded)
    np.testing.assert_array_equal(tf.cast(kernel.value, "float32"), 2 * np.ones((2, 3)))
    np.testing.assert_array_equal(tf.cast(bias.value, "float32"), np.zeros(3))


@pytest.mark.parametrize("decay", [0, 1, -0.5, 2])
def test_ema__invalid_decay(decay):
    with pytest.raises(ValueError, match="decay must be above 0 and below 1"):
        ExponentialMovingAverage(decay)
