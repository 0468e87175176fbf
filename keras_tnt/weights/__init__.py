"""Weights: where the published ones are, and how they get in and out of a model."""

from keras_tnt.weights.load import load_weights, save_upstream_weights

__all__ = ["load_weights", "save_upstream_weights"]
