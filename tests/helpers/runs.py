"""Comparison of two training runs."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from tests.helpers import worker_train


def history(run):
    """The figures by epoch that do not depend on time."""
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        {name: float(value) for name, value in row.items() if "second" not in name}
        for row in rows
    ]


def assert_same_run(run, expected, atol):
    """Weights, optimizer, average, figures and exported probabilities agree."""
    name = f"checkpoints/step-{worker_train.STEPS:08}.safetensors"
    found, wanted = (load_file(directory / name) for directory in (run, expected))
    assert set(found) == set(wanted)
    for key, value in wanted.items():
        np.testing.assert_allclose(found[key], value, atol=atol, err_msg=key)
    for ours, theirs in zip(history(run), history(expected), strict=True):
        assert ours == pytest.approx(theirs, abs=max(atol, 1e-4))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1)).astype("float32")
    for outputs in zip(*(outputs_of(r, pixels) for r in (run, expected)), strict=True):
        np.testing.assert_allclose(*outputs, atol=max(atol, 1e-5))


def outputs_of(run, pixels):
    """Probabilities of the saved and of the exported model."""
    model = keras.saving.load_model(run / "model.keras")
    served = tf.saved_model.load(run / "saved_model/1").signatures["predict_images"]
    exported = served(images=tf.constant(pixels))["probabilities"]
    return model.predict(pixels, verbose=0), exported
