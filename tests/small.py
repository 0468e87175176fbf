"""The smallest TNTs, for tests of what is done with a model."""

import numpy as np

import keras_tnt

DEFAULTS = {
    "outer_dim": 48,
    "inner_dim": 12,
    "depth": 2,
    "outer_num_heads": 3,
    "classes": 7,
    "input_shape": (32, 48, 3),
}


def small(**arguments):
    """A small TNT, the same each time, in which every weight matters."""
    model = keras_tnt.TNT(**(DEFAULTS | arguments))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        mean = 1 if weight.name == "gamma" else 0
        weight.assign(rng.normal(mean, scale=0.2, size=weight.shape))
    return model


def pixels(model, batch=3):
    """A batch of noise, uint8, as the model takes it."""
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (batch, *model.input_shape[1:]), "uint8")
