"""What XLA compiles, and that it computes the same."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.layers import feed_forward, fused_ops
from keras_tnt.training import train
from keras_tnt.training.compilation import (
    choose_compiled_part,
    compiled_on_replicas,
    compiled_part,
    device_types,
    part_with_teacher,
)
from tests.helpers.checks import two_replicas
from tests.helpers.small import small
from tests.helpers.toy import OPTIONS, toy_recipe

TINY = OPTIONS | {"depth": 1, "input_shape": (28, 28, 1), "classes": 4}


@pytest.mark.parametrize(
    ("wanted", "devices", "replicas", "deterministic", "part"),
    [
        (None, ["CPU"], 1, False, "nothing"),
        (None, ["GPU"], 1, False, "step"),
        (None, ["TPU"], 8, False, "nothing"),
        (None, ["CPU", "CPU"], 2, False, "nothing"),
        (None, ["GPU", "GPU"], 2, False, "replica"),
        (None, ["GPU"], 2, False, "replica"),  # of each of two workers
        (None, ["GPU"], 1, True, "nothing"),
        (True, ["CPU"], 1, False, "step"),
        (True, ["CPU", "CPU"], 2, False, "replica"),
        (True, ["TPU"], 1, False, "nothing"),
        (True, ["GPU"], 1, True, "nothing"),
        (False, ["GPU"], 1, False, "nothing"),
        (False, ["GPU", "GPU"], 2, False, "nothing"),
    ],
)
def test_compiled_part__by_devices(wanted, devices, replicas, deterministic, part):
    assert compiled_part(wanted, devices, replicas, deterministic) == part


def strategy_on(*devices):
    extended = types.SimpleNamespace(worker_devices=devices)
    return types.SimpleNamespace(extended=extended, num_replicas_in_sync=len(devices))


def test_device_types__of_strategies():
    assert device_types(tf.distribute.OneDeviceStrategy("/gpu:0")) == ["GPU"]
    assert device_types(two_replicas()) == ["CPU", "CPU"]
    assert device_types(tf.distribute.get_strategy()) == ["CPU"]
    tpus = strategy_on("/job:worker/replica:0/task:0/device:TPU:0")
    assert device_types(tpus) == ["TPU"]


def test_device_types__hidden_gpu_without_strategy(monkeypatch):
    gpu = types.SimpleNamespace(device_type="GPU")
    visible = [gpu]
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: visible)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [gpu])
    assert device_types(tf.distribute.get_strategy()) == ["GPU"]
    visible.clear()
    assert device_types(tf.distribute.get_strategy()) == ["CPU"]


def test_choose_compiled_part__mac(monkeypatch):
    """The GPUs of Macs have no XLA."""
    gpus = strategy_on("/device:GPU:0")
    assert choose_compiled_part(None, gpus) == "step"
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["gpu"])
    assert choose_compiled_part(None, gpus) == "nothing"
    assert not fused_ops.use_fused_ops(training=True)


def trained(part, strategy, dtype, optimizer, monkeypatch):
    """Metrics and weights of some steps, and whether XLA compiled the layers."""
    keras.utils.set_random_seed(0)
    seen = set()

    def use_fused_ops(training):
        if training and not in_keras_symbolic_build():
            seen.add(fused_ops.inside_compiled_function())
        return fused_ops.use_fused_ops(training)

    def in_keras_symbolic_build():
        return tf.distribute.in_cross_replica_context()

    spy = types.SimpleNamespace(**vars(fused_ops) | {"use_fused_ops": use_fused_ops})
    monkeypatch.setattr(feed_forward, "fused_ops", spy)
    with strategy.scope():
        model = small(**TINY, drop_path_rate=0.2, dropout_rate=0.2, dtype=dtype)
        model.compile(
            optimizer(),
            keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
            weighted_metrics=["accuracy"],
            jit_compile=part == "step",
        )
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (8, 28, 28, 1)).astype("float32")
    labels = np.eye(4, dtype="float32")[np.arange(8) % 4]
    weights = np.linspace(0.5, 1.5, 8, dtype="float32")
    options = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    with compiled_on_replicas(model, part):
        history = model.fit(images, labels, sample_weight=weights, **options)
        figures = model.evaluate(images, labels, 4, 0, weights, return_dict=True)
    assert figures == pytest.approx(
        model.evaluate(images, labels, 4, 0, weights, return_dict=True), abs=1e-2
    )
    assert "train_step" not in vars(model)
    return history.history | figures, model.get_weights(), seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "dtype", "tolerance"),
    [
        ("replica", "float32", 1e-5),
        ("step", "float32", 1e-5),
        pytest.param("replica", "mixed_float16", 5e-3, marks=pytest.mark.extra_large),
        ("step", "mixed_float16", 5e-3),
    ],
)
def test_compiled_steps__equal_the_plain_ones(part, dtype, tolerance, monkeypatch):
    """On two devices and in the scope of one; with dropout, and with loss scaling.

    With SGD, because Adam makes whole steps of gradients that are rounding errors.
    """
    strategy = two_replicas()
    if part == "step":
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    plain, xla = (
        trained(p, strategy, dtype, lambda: keras.optimizers.SGD(0.05), monkeypatch)
        for p in ("nothing", part)
    )
    assert xla[2] == {True}
    assert plain[2] == {False}
    for name, value in plain[0].items():
        assert xla[0][name] == pytest.approx(value, abs=10 * tolerance), name
    for ours, theirs in zip(xla[1], plain[1], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance)


def linear_classifier():
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, "softmax")]
    )


def test_part_with_teacher__on_one_device_only(caplog):
    strategy = two_replicas()
    with strategy.scope():
        copied = linear_classifier()
    assert part_with_teacher("replica", copied, strategy) == "replica"
    assert not caplog.text
    assert part_with_teacher("replica", linear_classifier(), strategy) == "nothing"
    assert "the teacher is on one device only" in caplog.text
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    assert part_with_teacher("step", linear_classifier(), one) == "step"


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy", [pytest.param("one", marks=pytest.mark.extra_large), "two"]
)
def test_train__compiled_equals_plain(strategy, tmp_path):
    """A whole training, with averaged weights and a teacher."""
    strategy = (
        two_replicas()
        if strategy == "two"
        else tf.distribute.OneDeviceStrategy("/cpu:0")
    )
    keras.utils.set_random_seed(5)
    with strategy.scope():
        teacher = linear_classifier()
    results = []
    for jit_compile in (False, True):
        recipe = toy_recipe(
            train_split="train[:64]",
            ema_decay=0.9,
            ema_warmup=True,
            jit_compile=jit_compile,
            model_options={"depth": 1, "drop_path_rate": 0.1},
        )
        directory = tmp_path / str(jit_compile)
        results.append(train(recipe, directory, strategy, 0, teacher))
    plain, xla = results
    for ours, theirs in zip(xla.history, plain.history, strict=True):
        for name, value in theirs.items():
            if name != "images_per_second":
                assert ours[name] == pytest.approx(value, abs=1e-3), name
    for ours, theirs in zip(xla.model.weights, plain.model.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg=ours.path)
