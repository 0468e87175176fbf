"""Initial values drawn by NumPy, for quick building of models on JAX."""

import contextlib
from unittest import mock

import numpy as np


@contextlib.contextmanager
def numpy_initializers(seed=0):
    """Let NumPy draw initial values while models are built on Keras's JAX backend.

    JAX compiles a program for each shape that it draws, which takes a minute for a TNT
    on a busy machine. The distributions are the same, the values others.

    Args:
        seed: seed of all values that are drawn inside.
    """
    rng = np.random.default_rng(seed)

    def normal(key, shape=(), dtype="float32"):
        return rng.standard_normal(shape, "float32").astype(dtype)

    def uniform(key, shape=(), dtype="float32", minval=0.0, maxval=1.0):
        return rng.uniform(minval, maxval, shape).astype(dtype)

    with (
        mock.patch("jax.random.normal", normal),
        mock.patch("jax.random.uniform", uniform),
    ):
        yield
