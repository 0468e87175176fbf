"""Faults that `keras_tnt.compat.rematerialization` works around."""

import keras
import numpy as np

from tests.helpers.faults import still_raises


def test_rematerialize__still_present():
    with keras.RematScope(mode="full"):
        model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    model.compile("sgd", "mse")
    workaround = "keras_tnt.compat.rematerialization.rematerialize"
    with still_raises(ValueError, "keywords arguments only when eager", workaround):
        model.train_on_batch(np.ones((2, 4)), np.ones((2, 4)))
