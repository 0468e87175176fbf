"""Where to train: strategies by name and by surroundings."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt import distribute
from keras_tnt.training import fashion_mnist_demo, train
from tests.helpers.checks import two_replicas
from tests.helpers.small import pixels, small

WITHOUT_GPU = pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="for machines without GPU"
)


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch):
    for name in ("TF_CONFIG", "TPU_NAME", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


def test_create_strategy__model_parallel_is_for_jax():
    with pytest.raises(ValueError, match="model_parallel needs Keras's JAX backend"):
        distribute.create_strategy("model_parallel")


def test_train__distribution_is_for_jax(tmp_path):
    distribution = keras.distribution.DataParallel(devices=["cpu:0"])
    with pytest.raises(ValueError, match=r"one of tf.distribute, got DataParallel"):
        train(fashion_mnist_demo(), tmp_path / "run", distribution)
    assert not (tmp_path / "run").exists()


@WITHOUT_GPU
def test_create_strategy__no_gpu():
    strategy = distribute.create_strategy()
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
    assert strategy.num_replicas_in_sync == 1
    with strategy.scope():
        model = small(depth=1)
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    assert all("CPU:0" in weight.value.device for weight in model.weights)
    images = pixels(model, 4)
    history = model.fit(images, np.arange(4), epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]


@pytest.mark.parametrize(
    ("name", "gpus", "kind", "replicas"),
    [
        ("one_device", 0, tf.distribute.OneDeviceStrategy, 1),
        ("auto", 1, tf.distribute.OneDeviceStrategy, 1),
        ("auto", 2, tf.distribute.MirroredStrategy, 2),
        ("one_device", 2, tf.distribute.OneDeviceStrategy, 1),
        ("mirrored", 0, tf.distribute.MirroredStrategy, 2),  # conftest's two CPUs
        ("mirrored", 3, tf.distribute.MirroredStrategy, 3),
    ],
)
def test_create_strategy__devices(name, gpus, kind, replicas, monkeypatch):
    """Only the listing of GPUs is made up: the strategies are TensorFlow's own."""
    listed = tf.config.list_logical_devices
    devices = [SimpleNamespace(name=f"/device:GPU:{i}") for i in range(gpus)]
    monkeypatch.setattr(
        tf.config,
        "list_logical_devices",
        lambda kind: devices if kind == "GPU" else listed(kind),
    )
    strategy = distribute.create_strategy(name)
    assert isinstance(strategy, kind)
    assert strategy.num_replicas_in_sync == replicas
    assert distribute.worker_count(strategy) == 1
    assert distribute.is_chief(strategy)


def test_create_strategy__unknown_name():
    with pytest.raises(
        ValueError, match=r"Unknown strategy 'horovod'.*one_device, mirrored"
    ):
        distribute.create_strategy("horovod")


def test_create_strategy__workers_need_cluster():
    with pytest.raises(
        ValueError, match=r"srun.*TF_CONFIG for each worker, like .*host-b:12345"
    ):
        distribute.create_strategy("multi_worker")


def test_create_strategy__created_too_late(monkeypatch):
    tf.zeros(())
    task = {"type": "worker", "index": 0}
    config = {"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": task}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    for name in ("auto", "multi_worker"):
        message = r"before TensorFlow .*create_strategy\(\) first in the program"
        with pytest.raises(RuntimeError, match=message):
            distribute.create_strategy(name)


def test_create_strategy__cluster_of_one(monkeypatch):
    task = {"type": "chief", "index": 0}
    config = {"cluster": {"chief": ["localhost:1"]}, "task": task}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert distribute.worker_count(distribute.create_strategy()) == 1


def test_create_strategy__no_tpu():
    """TensorFlow's own answer here, where there is none."""
    with pytest.raises(RuntimeError, match=r"no TPU 'local'.*\n.*tensorflow-tpu"):
        distribute.create_strategy("tpu")


@pytest.mark.parametrize(
    ("name", "environment", "tpu"),
    [("tpu", "", "local"), ("tpu", "my-tpu", "my-tpu"), ("auto", "local", "local")],
)
def test_create_strategy__tpu_set_up(name, environment, tpu, monkeypatch):
    """All of the TPU is made up: this shows only that TensorFlow is called rightly."""
    calls = []

    def record(what):
        return lambda argument: calls.append((what, argument)) or what

    monkeypatch.setenv("TPU_NAME", environment)
    monkeypatch.setattr(
        tf.distribute.cluster_resolver, "TPUClusterResolver", record("resolver")
    )
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", record("connect"))
    monkeypatch.setattr(
        tf.tpu.experimental, "initialize_tpu_system", record("initialize")
    )
    monkeypatch.setattr(tf.distribute, "TPUStrategy", record("strategy"))
    assert distribute.create_strategy(name) == "strategy"
    assert calls == [
        ("resolver", tpu),
        ("connect", "resolver"),
        ("initialize", "resolver"),
        ("strategy", "resolver"),
    ]


def test_distribute_dataset__replicas_take_turns():
    strategy = two_replicas()
    places = []

    def batches(*place):
        places.append(place)
        return tf.data.Dataset.range(12).batch(3, drop_remainder=True)

    dataset = distribute.distribute_dataset(strategy, batches)
    assert places == [(0, 1, 2)]
    assert dataset.cardinality == tf.data.INFINITE_CARDINALITY
    steps = iter(dataset)
    for start in (0, 6, 0):  # endless
        first, second = strategy.experimental_local_results(next(steps))
        assert first.shape == second.shape == (3,)
        assert [first[0], second[0]] == [start, start + 3]


def test_distribute_dataset__replicas_of_worker():
    """Three hosts with four replicas each; only the numbers are made up."""
    context = tf.distribute.InputContext(3, 2, 12)
    strategy = SimpleNamespace(
        distribute_datasets_from_function=lambda function: function(context)
    )
    dataset = distribute.distribute_dataset(
        strategy, lambda *place: tf.data.Dataset.from_tensors(place)
    )
    assert [int(number) for number in next(iter(dataset))] == [2, 3, 4]


def test_workers__one_process():
    for strategy in (tf.distribute.get_strategy(), two_replicas()):
        assert distribute.any_worker(strategy, True) is True
        assert distribute.any_worker(strategy, False) is False
        assert distribute.total(strategy, 3) == 3
        distribute.check_agreement(strategy, 3, "step")
        distribute.barrier(strategy)


def test_workers__error_of_one_process():
    error = tf.errors.UnavailableError(None, None, "the disk is gone")
    with (
        pytest.raises(tf.errors.UnavailableError, match="the disk is gone"),
        distribute.worker_errors(tf.distribute.get_strategy()),
    ):
        raise error
