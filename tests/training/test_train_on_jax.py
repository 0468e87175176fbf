"""Training on JAX, in processes of their own: TensorFlow makes the batches."""

import importlib.util
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("jax", "tensorflow"))),
        reason="needs JAX, and TensorFlow for tf.data",
    ),
]
LAYOUTS = ("one", "data", "model")
STEPS, PER_EPOCH = 20, 10
DEVICES = "--xla_force_host_platform_device_count=8"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("jax")


def start(directory, *arguments, status=0):
    """What `tests.helpers.jax_layouts` prints on eight host devices."""
    environment = {
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": DEVICES,
        "JAX_COMPILATION_CACHE_DIR": str(directory / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        # Compiled in half the time.
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def runs(directory):
    """The directory of a run in each layout."""
    start(directory, "-m", "tests.helpers.jax_layouts", "layouts", str(directory))
    return directory


def steps(run):
    """Losses and checksums of the images, by step."""
    rows = json.loads((run / "steps.json").read_text())
    losses = []
    for first in range(0, len(rows), PER_EPOCH):
        means = np.array([row["loss"] for row in rows[first : first + PER_EPOCH]])
        sums = means * np.arange(1, len(means) + 1)
        losses += [*np.diff(sums, prepend=0)]
    return np.array(losses), np.array([row["images"] for row in rows])


def last_checkpoint(run):
    return load_file(run / f"checkpoints/step-{STEPS:08}.safetensors")


def assert_same_state(run, expected, atol):
    found, wanted = last_checkpoint(run), last_checkpoint(expected)
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(
            found[name].astype("float64"), value, rtol=0, atol=atol, err_msg=name
        )


def test_train__same_losses_in_every_layout(runs):
    losses = {layout: steps(runs / layout)[0] for layout in LAYOUTS}
    assert len(losses["one"]) == STEPS
    assert np.ptp(losses["one"]) > 0.01  # the steps differ
    for layout in LAYOUTS:
        np.testing.assert_allclose(losses[layout], losses["one"], rtol=0, atol=1e-5)
        assert_same_state(runs / layout, runs / "one", atol=1e-5)


def test_train__images_of_the_recipe_in_every_layout(runs):
    """The devices got, step by step, the batches that TensorFlow's training gets."""
    from keras_tnt.data import image_dataset
    from tests.helpers.jax_layouts import RECIPE

    batches = image_dataset(
        RECIPE.data,
        RECIPE.train_split,
        batch_size=RECIPE.batch_size,
        image_size=RECIPE.image_size,
        channels=RECIPE.channels,
        augmentation=RECIPE.augmentation,
        seed=RECIPE.seed,
        epochs=RECIPE.epochs,
    )
    means = np.array([images.numpy().mean(axis=(1, 2, 3)) for images, _ in batches])
    numbers = np.arange(1, RECIPE.batch_size + 1)
    for layout in LAYOUTS:
        checksums = steps(runs / layout)[1]
        np.testing.assert_allclose(checksums, (means * numbers).mean(1), rtol=1e-5)


def spec(sharding):
    """The part of a sharding's text that says what is divided."""
    return sharding.partition("spec=")[2]


def test_train__weights_and_moments_are_divided(runs):
    shardings = json.loads((runs / "shardings.json").read_text())
    divided = {
        layout: [
            path for path, text in found.items() if "'model'" in text.split("spec")[-1]
        ]
        for layout, found in shardings.items()
    }
    weights = [
        "attention/qkv/kernel",
        "attention/projection/kernel",
        "feed_forward/intermediate_dense/kernel",
        "feed_forward/intermediate_dense/bias",
        "feed_forward/output_dense/kernel",
    ]
    paths = [f"block_1/outer/{name}" for name in weights]
    moments = [
        f"{path.replace('/', '_')}_{moment}"
        for path in paths
        for moment in ("momentum", "velocity")
    ]
    # The optimizer's have its name, which Keras numbers.
    found = [
        path.split("/", 1)[-1] if "adam" in path else path for path in divided["model"]
    ]
    assert found == paths + moments
    assert divided["one"] == divided["data"] == []
    assert all("'batch': 8" in text for text in shardings["data"].values())


def test_train__resumes_in_another_layout(runs):
    assert len(steps(runs / "resumed")[0]) == PER_EPOCH - 2  # after step 12
    assert_same_state(runs / "resumed", runs / "one", atol=1e-5)


def test_train__killed_and_stopped_equals_uninterrupted(runs):
    run = runs / "killed"
    helper = ("-m", "tests.helpers.jax_layouts")
    start(runs, *helper, "killed", str(run), status=-signal.SIGKILL)
    assert [path.stem for path in (run / "checkpoints").iterdir()] == ["step-00000004"]
    said = start(runs, *helper, "stopped", str(run))
    assert "stopped by SIGTERM after step 10, which is saved" in said
    assert_same_state(run, runs / "one", atol=0)


REFUSED = """
import dataclasses, sys
import keras, tensorflow as tf
import keras_tnt
from keras_tnt.distribute import create_strategy
from keras_tnt.training import fashion_mnist_demo, layout_map, train

recipe = fashion_mnist_demo()
devices = keras.distribution.list_devices()
D = keras.distribution
calls = [
    lambda: train(recipe, "run", tf.distribute.get_strategy()),
    lambda: train(dataclasses.replace(recipe, loss="binary_crossentropy"), "run"),
    lambda: train(dataclasses.replace(recipe, batch_size=60), "run"),
    lambda: create_strategy("multi_worker"),
    lambda: create_strategy("tpu"),
    lambda: layout_map(D.DeviceMesh((8,), ["batch"], devices)),
    lambda: keras_tnt.export_saved_model(None, "saved"),
]
for call in calls:
    try:
        call()
    except (ValueError, RuntimeError) as error:
        print(error)
print(create_strategy("one_device").device_mesh.shape)
print(create_strategy("auto").device_mesh.shape)
print(create_strategy("model_parallel").device_mesh.shape)
with create_strategy("model_parallel").scope():
    print(create_strategy("auto").device_mesh.shape)
"""


def test_train__refused(directory):
    lines = start(directory, "-c", REFUSED).splitlines()
    expected = [
        "the strategy must be one of keras.distribution, got",
        "loss='binary_crossentropy' needs the TensorFlow backend",
        "must be a multiple of their number, 8. Use 56.",
        "On JAX, train in one process",
        "JAX sees no TPU",
        "needs an axis 'model'",
        "An export needs Keras's TensorFlow backend, not jax",
        "(1,)",
        "(8,)",
        "(1, 8)",
        "(1, 8)",
    ]
    assert len(lines) == len(expected)
    for line, part in zip(lines, expected, strict=True):
        assert part in line


AVERAGE = """
import keras, numpy as np
from keras_tnt.training import ExponentialMovingAverage

class Weights(keras.callbacks.Callback):
    values = []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(np.array(self.model.weights[0].numpy()))

with keras.distribution.DataParallel().scope():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    expected = first = np.array(model.weights[0].numpy())
    model.compile(keras.optimizers.SGD(0.1), "mse")
    average = ExponentialMovingAverage(0.75)
    x = np.random.default_rng(0).normal(size=(64, 3))
    callbacks = [average, Weights()]
    model.fit(x, x[:, :2], batch_size=8, epochs=2, verbose=0, callbacks=callbacks)
    for value in Weights.values:
        expected = 0.75 * expected + 0.25 * value
    with average.swapped_in():
        model.evaluate(x, x[:, :2], verbose=0)
        swapped = np.array(model.weights[0].numpy())
print(len(Weights.values), np.abs(expected - first).max() > 0.01)
print(np.abs(swapped - expected).max())
print(np.abs(model.weights[0].numpy() - Weights.values[-1]).max())
"""


def test_ema__follows_the_weights_on_eight_devices(directory):
    steps, difference, restored = start(directory, "-c", AVERAGE).splitlines()
    assert steps == "16 True"
    assert float(difference) < 1e-6
    assert float(restored) == 0
