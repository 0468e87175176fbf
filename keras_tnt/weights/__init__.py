"""Weights: where the published ones are, and how they get in and out of a model."""

from keras_tnt.weights.load import load_weights, save_upstream_weights
from keras_tnt.weights.lora import enable_lora, merge_lora

__all__ = ["enable_lora", "load_weights", "merge_lora", "save_upstream_weights"]
