"""Where to train: on this machine's devices."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.training.distribution import default_strategy
from tests.small import pixels, small


@pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="for machines without GPU"
)
def test_without_gpu_the_first_cpu_trains():
    strategy = default_strategy()
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
    ("gpus", "kind"),
    [(1, tf.distribute.OneDeviceStrategy), (2, tf.distribute.MirroredStrategy)],
)
def test_the_number_of_gpus_decides(gpus, kind, monkeypatch):
    """Only the listing is made up: the strategies are TensorFlow's own."""
    devices = [f"/device:GPU:{i}" for i in range(gpus)]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: devices)
    assert isinstance(default_strategy(), kind)
