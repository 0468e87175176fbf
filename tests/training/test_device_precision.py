"""The precision of a device."""

import pytest
import tensorflow as tf

from keras_tnt.training.builders import dtype_policy
from keras_tnt.training.device_precision import automatic_precision
from tests.helpers.toy import toy_recipe


@pytest.mark.parametrize(
    ("capabilities", "has_tpu", "precision"),
    [
        ([], False, "float32"),
        ([], True, "bfloat16"),
        ([(6, 1)], False, "float32"),
        ([(7, 0)], False, "float16"),
        ([(7, 5), (7, 5)], False, "float16"),
        ([(8, 0)], False, "bfloat16"),
        ([(12, 0)], False, "bfloat16"),
        ([(8, 6), (7, 5)], False, "float16"),
        ([(9, 0), None], False, "float32"),
    ],
)
def test_automatic_precision__by_device(capabilities, has_tpu, precision):
    assert automatic_precision(capabilities, has_tpu) == precision


def test_dtype_policy__of_visible_gpus(monkeypatch):
    """A GPU that is hidden does not count; another precision is kept."""
    visible = ["T4"]
    details = {"T4": (7, 5), "A100": (8, 0)}
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: visible)
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda device: {"compute_capability": details[device]},
    )
    assert dtype_policy(toy_recipe()) == "mixed_float16"
    visible[:] = ["A100"]
    assert dtype_policy(toy_recipe()) == "mixed_bfloat16"
    assert dtype_policy(toy_recipe(precision="float16")) == "mixed_float16"
    visible.clear()
    assert dtype_policy(toy_recipe()) == "float32"
