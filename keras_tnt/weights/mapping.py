"""Mappings between a model's variables and upstream tensors.

Upstream tensors come from PyTorch: dense kernels are (out, in), convolutions
(out, in, height, width).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.weights.file_tensor import FileTensor

# By upstream name.
Tensors: TypeAlias = dict[str, np.ndarray | FileTensor]


class WeightMapping(NamedTuple):
    """The conversion of a variable to upstream tensors, and back."""

    to_keras: Callable[..., np.ndarray]
    to_upstream: Callable[[np.ndarray], tuple[np.ndarray, ...]]


class MappedVariable(NamedTuple):
    """A variable of the model, with its upstream tensors."""

    variable: keras.Variable
    names: tuple[str, ...]
    mapping: WeightMapping

    def upstream_shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of the upstream tensors, in the order of the names."""
        zeros = np.broadcast_to(np.float32(0), self.variable.shape)
        return [part.shape for part in self.mapping.to_upstream(zeros)]


IDENTITY = WeightMapping(lambda tensor: tensor, lambda value: (value,))
DENSE = WeightMapping(lambda tensor: tensor.T, lambda value: (value.T,))
CONVOLUTION = WeightMapping(
    lambda tensor: tensor.transpose(2, 3, 1, 0),
    lambda value: (value.transpose(3, 2, 0, 1),),
)


def fused_dense(first: int) -> WeightMapping:
    """Return the mapping of a fused query/key/value kernel to two upstream tensors.

    Args:
        first: how many of the three the first tensor holds; the second has the rest.
    """

    def split(value):
        rows = value.T
        at = len(rows) // 3 * first
        return rows[:at], rows[at:]

    return WeightMapping(lambda *parts: np.concatenate(parts).T, split)


def fused_bias(first: int) -> WeightMapping:
    """Return the same mapping of a fused query/key/value bias."""

    def split(value):
        at = len(value) // 3 * first
        return value[:at], value[at:]

    return WeightMapping(lambda *parts: np.concatenate(parts), split)


def norm_entries(layer: keras.layers.Layer, name: str) -> Iterator[MappedVariable]:
    """Yield the entries of a normalisation layer; upstream holds them flat."""
    shape = tuple(layer.gamma.shape)
    flat = WeightMapping(
        lambda tensor: tensor.reshape(shape), lambda value: (value.reshape(-1),)
    )
    yield MappedVariable(layer.gamma, (f"{name}.weight",), flat)
    yield MappedVariable(layer.beta, (f"{name}.bias",), flat)


def dense_entries(layer: keras.layers.Dense, name: str) -> Iterator[MappedVariable]:
    """Yield the entries of a Dense layer, with or without bias."""
    yield MappedVariable(layer.kernel, (f"{name}.weight",), DENSE)
    if layer.use_bias:
        yield MappedVariable(layer.bias, (f"{name}.bias",), IDENTITY)


def convolution_entries(
    layer: keras.layers.Conv2D, name: str
) -> Iterator[MappedVariable]:
    """Yield the entries of a convolution with bias."""
    yield MappedVariable(layer.kernel, (f"{name}.weight",), CONVOLUTION)
    yield MappedVariable(layer.bias, (f"{name}.bias",), IDENTITY)


def feed_forward_entries(
    layer: keras.layers.Layer, name: str
) -> Iterator[MappedVariable]:
    """Yield the entries of a `FeedForward`."""
    yield from dense_entries(layer.intermediate_dense, f"{name}.fc1")
    yield from dense_entries(layer.output_dense, f"{name}.fc2")


def excitation_entries(
    layer: keras.layers.Layer, name: str
) -> Iterator[MappedVariable]:
    """Yield the entries of a `SqueezeExcitation`."""
    yield from norm_entries(layer.norm, f"{name}.fc.0")
    yield from dense_entries(layer.reduce_dense, f"{name}.fc.1")
    yield from dense_entries(layer.expand_dense, f"{name}.fc.3")


def without_wrappers(tensors: Tensors, known: Iterable[str]) -> Tensors:
    """Remove the prefixes that wrappers of a model put before every name.

    They are such as ``module.`` of parallel training, ``_orig_mod.`` of compilation,
    ``model.``, ``ema.`` or ``backbone.``, which a head may lack. The counter of
    PyTorch's averaged model is left out.

    Args:
        tensors: dict from names to arrays.
        known: names of which a model has one. If none of them is behind a common
            prefix, nothing is removed.

    Returns:
        A new dict, in the same order.
    """
    inner = {name: value for name, value in tensors.items() if name != "n_averaged"}
    while inner and set(known).isdisjoint(inner):
        first = next((n for n in inner if not n.startswith("head.")), "head")
        prefix = first.partition(".")[0] + "."
        if not all(name.startswith((prefix, "head.")) for name in inner):
            return dict(tensors)
        shorter = {name.removeprefix(prefix): value for name, value in inner.items()}
        if len(shorter) < len(inner):
            return dict(tensors)
        inner = shorter
    return inner


def check_finite(named_values: Iterable[tuple[str, ArrayLike]], where: str) -> None:
    """Raise a `ValueError` that names the first tensor with NaN or infinity."""
    for name, value in named_values:
        if not np.isfinite(value).all():
            raise ValueError(
                f"{where} has NaN or infinite values, first in tensor {name!r}. It is "
                "damaged, or its training diverged. Get it again, or use an earlier "
                "checkpoint."
            )
