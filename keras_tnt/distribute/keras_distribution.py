"""Training on JAX: `keras.distribution` in the place of `tf.distribute`."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_tnt.distribute.layout import layout_map
from keras_tnt.utils.backend import uses_jax
from keras_tnt.utils.lazy import tensorflow as tf


def is_distribution(strategy: Any) -> bool:
    """Return whether a strategy is one of `keras.distribution`."""
    kinds = (keras.distribution.DataParallel, keras.distribution.ModelParallel)
    return isinstance(strategy, kinds)


def create_distribution(name: str) -> Any:
    """Create the distribution of a training on JAX, by name.

    Args:
        name: a name that `keras_tnt.distribute.create_strategy` takes.

    Returns:
        A `keras.distribution.DataParallel` or `keras.distribution.ModelParallel`.

    Raises:
        ValueError: for ``"multi_worker"``.
        RuntimeError: for ``"tpu"``, if there is none.
    """
    if name == "multi_worker":
        raise ValueError(
            "multi_worker needs the TensorFlow backend. On JAX, train in one process, "
            "on all devices of a machine: --strategy auto."
        )
    if name == "auto" and keras.distribution.distribution():
        return keras.distribution.distribution()
    devices = keras.distribution.list_devices()
    if name == "tpu" and not devices[0].startswith("tpu"):
        raise RuntimeError(f"JAX sees no TPU, but {devices}. Install jax[tpu].")
    if name == "model_parallel":
        mesh = keras.distribution.DeviceMesh((1, len(devices)), ("batch", "model"))
        return keras.distribution.ModelParallel(
            layout_map=layout_map(mesh), batch_dim_name="batch"
        )
    if name == "one_device":
        devices = devices[:1]
    return keras.distribution.DataParallel(devices=devices)


def check_strategy(strategy: Any) -> None:
    """Check that a strategy fits Keras's backend.

    Raises:
        ValueError: if it does not, or there are several processes on JAX.

    Example:
        >>> from keras_tnt import distribute
        >>> distribute.check_strategy(distribute.create_strategy("one_device"))
    """
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax"):
        raise ValueError(
            f"Training needs Keras's TensorFlow or JAX backend, not {backend}. Set "
            "KERAS_BACKEND before you import keras."
        )
    if is_distribution(strategy) != uses_jax():
        expected = "keras.distribution" if uses_jax() else "tf.distribute"
        raise ValueError(
            f"On Keras's {backend} backend the strategy must be one of {expected}, got "
            f"{type(strategy).__name__}."
        )
    if uses_jax() and importlib.import_module("jax").process_count() > 1:
        raise ValueError(
            "On JAX, training runs in one process, on all devices of a machine. Start "
            "it without keras.distribution.initialize, or use the TensorFlow backend."
        )


@contextlib.contextmanager
def distribution_scope(strategy: Any) -> Iterator[None]:
    """Distribute variables and batches on JAX; nothing on other backends.

    Keras reads the distribution when a variable is created and when `fit` takes a
    batch. TensorFlow then only makes the batches: without this it would reserve the
    memory of all GPUs.

    Args:
        strategy: a `keras.distribution.DataParallel` or `ModelParallel`; ``None`` for
            Keras's current one. Others change nothing.

    Example:
        >>> from keras_tnt import distribute
        >>> with distribute.distribution_scope(distribute.create_strategy()):
        ...     pass  # build a model, model.fit(...)
    """
    if not uses_jax():
        yield
        return
    with contextlib.suppress(RuntimeError):  # TensorFlow has its devices already
        tf.config.set_visible_devices([], "GPU")
    scope: Any = contextlib.nullcontext()
    if strategy:
        devices = strategy.device_mesh.devices
        # Keras warns of weights that are on one device and not on a mesh of one.
        scope = strategy.scope() if devices.size > 1 else keras.device(devices.item())
    with scope:
        yield


def on_accelerator() -> bool:
    """Return whether training on JAX runs on a GPU or TPU.

    Example:
        ```python
        from keras_tnt import distribute

        precision = "bfloat16" if distribute.on_accelerator() else "float32"
        ```
    """
    distribution = keras.distribution.distribution()
    if distribution:
        return not str(distribution.device_mesh.devices.flat[0]).startswith("cpu")
    return keras.ops.zeros(()).device.platform != "cpu"
