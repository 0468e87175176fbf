"""The exponential moving average of weights on JAX."""

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np


def average_variables(weights: Sequence[keras.Variable]) -> list[keras.Variable]:
    """Return a variable in float32 or more for each weight, divided as the weight is.

    Args:
        weights: floating-point variables of a model.
    """
    distribution = keras.distribution.distribution()
    return [
        keras.Variable(
            np.asarray(weight.numpy()).astype(
                keras.backend.result_type(weight.dtype, "float32")
            ),
            trainable=False,
            name=weight.name,
            layout=distribution and distribution.get_variable_layout(weight),
        )
        for weight in weights
    ]


def move(
    averages: Sequence[keras.Variable], weights: Sequence[keras.Variable], share: float
) -> None:
    """Move averages towards weights, on the devices.

    Args:
        averages: the averages.
        weights: the weights, one for each average.
        share: share of the average that is kept.
    """
    before, values = (
        [each.value for each in variables] for variables in (averages, weights)
    )
    moved = _moved()(before, values, np.float32(share))
    for average, value in zip(averages, moved, strict=True):
        average.assign(value)


@functools.cache
def _moved() -> Callable[[list, list, Any], list]:
    jax = importlib.import_module("jax")

    def moved(averages, weights, share):
        return [
            share.astype(a.dtype) * a + (1 - share).astype(a.dtype) * w.astype(a.dtype)
            for a, w in zip(averages, weights, strict=True)
        ]

    return jax.jit(moved, donate_argnums=0)
