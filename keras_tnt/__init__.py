"""Transformer in Transformer (TNT) for Keras 3 on TensorFlow."""

from keras_tnt import layers
from keras_tnt.models import TNT, TNTBase, TNTSmall, TNTTiny
from keras_tnt.weights import load_weights, save_upstream_weights

__version__ = "0.1.0"

__all__ = [
    "TNT",
    "TNTBase",
    "TNTSmall",
    "TNTTiny",
    "layers",
    "load_weights",
    "save_upstream_weights",
]
