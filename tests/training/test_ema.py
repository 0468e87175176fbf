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


class Recorded(keras.callbacks.Callback):
    """Keeps the weights, and the average, after every step."""

    def __init__(self, average=None):
        super().__init__()
        self.average, self.weights, self.averages = average, [], []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append([weight.numpy() for weight in self.model.weights])
        if self.average:
            self.averages.append([value.numpy() for value in self.average.variables])


def expected(first, steps, decay, warmup):
    """The average in so many words."""
    averages = first
    for t, weights in enumerate(steps, start=1):
        share = min(decay, (1 + t) / (10 + t)) if warmup else decay
        averages = [
            share * a + (1 - share) * w for a, w in zip(averages, weights, strict=True)
        ]
    return averages


def assert_all_close(ours, theirs, atol=1e-6):
    for value, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(value, other, atol=atol)


@pytest.mark.parametrize(
    ("decay", "warmup", "strategy"),
    [
        pytest.param(0.3, True, "one", marks=pytest.mark.slow),
        (0.999, True, "two"),
        pytest.param(0.999, False, "one", marks=pytest.mark.slow),
    ],
)
def test_ema__average_of_steps(decay, warmup, strategy):
    """Also of batch normalization's moving statistics."""
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    with (one if strategy == "one" else two_replicas()).scope():
        model = perceptron()
    first = [weight.numpy() for weight in model.weights]
    average, recorded = ExponentialMovingAverage(decay, warmup), Recorded()
    options = {"batch_size": 4, "epochs": 3, "verbose": 0}
    model.fit(IMAGES, LABELS, callbacks=[recorded, average], **options)
    assert len(recorded.weights) == 12
    names = {weight.name for weight in model.weights}
    assert {"moving_mean", "moving_variance", "kernel"} <= names
    by_hand = expected(first, recorded.weights, decay, warmup)
    assert_all_close(average.variables, by_hand)

    # Another training does not move it, unless it gets the callback again.
    model.fit(IMAGES, LABELS, verbose=0)
    assert_all_close(average.variables, by_hand)

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
    """Only steps that update the weights move the average."""
    model = perceptron(gradient_accumulation_steps=2)
    before = [weight.numpy() for weight in model.weights]
    average = ExponentialMovingAverage(0.5, warmup=True)
    recorded = Recorded(average)
    model.fit(IMAGES, LABELS, batch_size=4, verbose=0, callbacks=[average, recorded])
    assert_all_close(recorded.averages[0], before, 0)
    assert_all_close(recorded.averages[1], recorded.averages[2], 0)
    steps = recorded.weights[1::2]
    assert_all_close(recorded.averages[3], expected(before, steps, 0.5, True))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_ema__steps_per_execution(jit_compile):
    """Every step moves the average, also where several are one execution."""
    averages = []
    for several in (1, 4):
        model = perceptron()
        model.compile(
            "sgd",
            "sparse_categorical_crossentropy",
            steps_per_execution=several,
            jit_compile=jit_compile,
        )
        average = ExponentialMovingAverage(0.2, warmup=True)
        model.fit(
            IMAGES,
            LABELS,
            batch_size=2,
            verbose=0,
            shuffle=False,
            callbacks=[average],
        )
        averages.append([value.numpy() for value in average.variables])
    assert_all_close(*averages)


def test_ema__is_part_of_the_compiled_step():
    """The program of a step has no transfers to the host, and updates the average."""
    model = perceptron()
    model.optimizer.build(model.trainable_variables)
    average = ExponentialMovingAverage(0.9)
    average.set_model(model)
    with average.moving():
        step = tf.function(model.train_step, jit_compile=True, autograph=False)
        batch = tf.constant(IMAGES), tf.constant(LABELS)
        program = step.experimental_get_compiler_ir(batch)(stage="optimized_hlo")
    of_the_average = {value.value.handle._id for value in average.variables}
    inputs = step.get_concrete_function(batch).captured_inputs
    assert of_the_average <= {value._id for value in inputs}
    for transfer in ("infeed", "outfeed", "send", "recv", "callback"):
        assert transfer not in program


def test_ema__error_ends_with_the_next_training():
    """After an error in `fit` the same callback moves the average once a step."""
    model = perceptron()
    average, recorded = ExponentialMovingAverage(0.5), Recorded()
    stops = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.fit(IMAGES, LABELS, verbose=0, callbacks=[average, stops])
    first = [value.numpy() for value in average.variables]
    model.fit(IMAGES, LABELS, verbose=0, callbacks=[average, recorded])
    assert_all_close(average.variables, expected(first, recorded.weights, 0.5, False))


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
    kernel.assign(2 * np.ones((2, 3)))
    expected = 1.0
    for step in range(10**6 + 1, 10**6 + 101):
        average._move(step, step - 1)
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
