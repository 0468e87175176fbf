"""Faults that `keras_tnt.compat.rematerialization` works around."""

import keras
import numpy as np
import pytest


def test_rematerialize__still_present():
    with keras.RematScope(mode="full"):
        model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    model.compile("sgd", "mse")
    try:
        model.train_on_batch(np.ones((2, 4)), np.ones((2, 4)))
    except ValueError as error:
        assert "supports keywords arguments only when eager" in str(error)
    else:
        pytest.fail(
            "keras.RematScope works in graphs: "
            "remove keras_tnt.compat.rematerialization.rematerialize"
        )
