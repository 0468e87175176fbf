"""Small models, and images for them."""

import keras
import numpy as np
import pytest

import keras_tnt

DEFAULTS = {
    "outer_dim": 48,
    "inner_dim": 12,
    "depth": 2,
    "outer_num_heads": 3,
    "classes": 7,
    "input_shape": (32, 48, 3),
}
PYRAMID_DEFAULTS = {
    "outer_dim": 16,
    "inner_dim": 4,
    "depths": (1, 1, 1, 1),
    "outer_num_heads": 2,
    "inner_num_heads": 1,
    "classes": 7,
    "input_shape": (64, 96, 3),
}


def build_tnt(**arguments):
    """A small TNT with the initial values of a new model."""
    return keras_tnt.TNT(**(DEFAULTS | arguments))


def build_pyramid_tnt(**arguments):
    """A small PyramidTNT with the initial values of a new model."""
    return keras_tnt.PyramidTNT(**(PYRAMID_DEFAULTS | arguments))


def small(**arguments):
    """A small TNT, the same each time, in which every weight matters."""
    return randomised(build_tnt(**arguments))


def small_pyramid(**arguments):
    """A small PyramidTNT, the same each time, in which every weight matters."""
    return randomised(build_pyramid_tnt(**arguments))


# For tests of both kinds of models. Pyramids take twice as long.
BOTH = (small, pytest.param(small_pyramid, marks=pytest.mark.slow))


def dense_classifier(classes=7, activation="softmax", input_shape=(32, 48, 3)):
    """A classifier that is exported quickly, for what does not depend on the model."""
    images = keras.Input(input_shape)
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.Dense(classes, activation)(features))


def randomised(model):
    """Set all weights to random values, the same each time, none of them 0 or 1."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        mean = 1 if weight.name in ("gamma", "moving_variance") else 0
        weight.assign(rng.normal(mean, scale=0.2, size=weight.shape))
    return model


def pixels(model, batch=3):
    """A batch of noise, uint8, in the model's input shape."""
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (batch, *model.input_shape[1:]), "uint8")
