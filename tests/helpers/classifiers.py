"""Small classifiers as users build them, and images for them."""

import keras
import numpy as np

from tests.helpers.small import build_tnt

SHAPE = (32, 32, 3)


def tnt(**arguments):
    return build_tnt(**{"depth": 1, "classes": 3, "input_shape": SHAPE, **arguments})


def body(**arguments):
    return tnt(include_top=False, pooling="token", **arguments)


def images(number=4, shape=SHAPE):
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (number, *shape)).astype("float32")


def functional(build, shape=SHAPE):
    """A model from an input to ``build(features)``, with the TNT as a layer."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, build(body()(inputs)))


class Subclassed(keras.Model):
    """A classifier whose graph is not known."""

    def __init__(self, activation=None, dtype=None):
        super().__init__(dtype=dtype)
        self.activation = activation
        self.body = body()
        self.scores = keras.layers.Dense(3, activation)

    def call(self, images):
        return self.scores(self.body(images))

    def get_config(self):
        return {"activation": self.activation, "dtype": self.dtype_policy.name}


def subclassed(activation=None):
    model = Subclassed(activation)
    model(images(1))
    return model
