"""How a model's variables are laid out as upstream tensors, and back.

Upstream tensors come from PyTorch: dense kernels are (out, in), convolutions
(out, in, height, width).
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np


class WeightMapping(NamedTuple):
    """How one variable is laid out as upstream tensors, and back."""

    to_keras: Callable[..., np.ndarray]
    to_upstream: Callable[[np.ndarray], tuple[np.ndarray, ...]]


class MappedVariable(NamedTuple):
    """A variable of the model and the upstream tensors that it is made of."""

    variable: keras.Variable
    names: tuple[str, ...]
    layout: WeightMapping

    def upstream_shapes(self):
        """Returns the shapes of the upstream tensors, in the order of the names."""
        zeros = np.broadcast_to(np.float32(0), self.variable.shape)
        return [part.shape for part in self.layout.to_upstream(zeros)]


IDENTITY = WeightMapping(lambda tensor: tensor, lambda value: (value,))
DENSE = WeightMapping(lambda tensor: tensor.T, lambda value: (value.T,))
CONVOLUTION = WeightMapping(
    lambda tensor: tensor.transpose(2, 3, 1, 0),
    lambda value: (value.transpose(3, 2, 0, 1),),
)


def fused_dense(first):
    """WeightMapping of a fused query/key/value kernel that upstream holds as two tensors.

    Args:
        first: how many of the three the first tensor holds; the second has the rest.
    """

    def split(value):
        rows = value.T
        at = len(rows) // 3 * first
        return rows[:at], rows[at:]

    return WeightMapping(lambda *parts: np.concatenate(parts).T, split)


def norm_entries(layer, name):
    """Yields the entries of a normalisation layer; upstream holds them flat."""
    shape = tuple(layer.gamma.shape)
    flat = WeightMapping(
        lambda tensor: tensor.reshape(shape), lambda value: (value.reshape(-1),)
    )
    yield MappedVariable(layer.gamma, (f"{name}.weight",), flat)
    yield MappedVariable(layer.beta, (f"{name}.bias",), flat)


def dense_entries(layer, name):
    """Yields the entries of a Dense layer, with or without bias."""
    yield MappedVariable(layer.kernel, (f"{name}.weight",), DENSE)
    if layer.use_bias:
        yield MappedVariable(layer.bias, (f"{name}.bias",), IDENTITY)


def convolution_entries(layer, name):
    """Yields the entries of a convolution with bias."""
    yield MappedVariable(layer.kernel, (f"{name}.weight",), CONVOLUTION)
    yield MappedVariable(layer.bias, (f"{name}.bias",), IDENTITY)


def feed_forward_entries(layer, name):
    """Yields the entries of a `FeedForward`."""
    yield from dense_entries(layer.intermediate_dense, f"{name}.fc1")
    yield from dense_entries(layer.output_dense, f"{name}.fc2")


def without_module(tensors):
    """Takes off the prefix that parallel training puts before every name."""
    prefix = "module."
    if tensors and all(name.startswith(prefix) for name in tensors):
        return {name.removeprefix(prefix): value for name, value in tensors.items()}
    return dict(tensors)
