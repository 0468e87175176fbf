"""What every test runs with."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# No test may reach beyond this machine.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import keras
import numpy as np
import pytest
import tensorflow as tf

# Two logical devices, for the tests of two replicas; must come before any tensor.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


@pytest.fixture(autouse=True)
def _fresh_keras():
    """Each test starts from the same seed and leaves no graph or policy behind."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
    keras.utils.clear_session(free_memory=False)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
