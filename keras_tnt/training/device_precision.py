"""The arithmetic that a device is fast in."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from keras_tnt import distribute
from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.lazy import tensorflow as tf


def automatic_precision(
    capabilities: Sequence[tuple[int, int] | None], has_tpu: bool = False
) -> str:
    """Return the precision of a training by the devices of this machine.

    Fast bfloat16 begins with compute capability 8.0, fast float16 with 7.0.

    Args:
        capabilities: compute capability of each GPU, such as ``(8, 0)``; ``None`` if
            unknown. The lowest one counts.
        has_tpu: whether there is a TPU.

    Returns:
        ``"bfloat16"``, ``"float16"`` or ``"float32"``.

    Example:
        >>> from keras_tnt.training.device_precision import automatic_precision
        >>> automatic_precision([(8, 0), (9, 0)]), automatic_precision([(7, 5)])
        ('bfloat16', 'float16')
        >>> automatic_precision([])
        'float32'
    """
    if has_tpu:
        return "bfloat16"
    lowest = min((known or (0, 0) for known in capabilities), default=(0, 0))
    if lowest >= (8, 0):
        return "bfloat16"
    return "float16" if lowest >= (7, 0) else "float32"


def precision_of_this_machine() -> str:
    """Return `automatic_precision` of the devices that TensorFlow or JAX trains on.

    Example:
        >>> from keras_tnt.training.device_precision import precision_of_this_machine
        >>> precision_of_this_machine() in ("bfloat16", "float16", "float32")
        True
    """
    if not uses_tensorflow():
        return _precision_on_jax()
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability")
        for gpu in tf.config.get_visible_devices("GPU")
    ]
    return automatic_precision(
        capabilities, bool(tf.config.list_logical_devices("TPU"))
    )


def _precision_on_jax():
    if not distribute.on_accelerator():
        return "float32"
    devices = importlib.import_module("jax").devices()
    capabilities = [
        tuple(int(part) for part in device.compute_capability.split("."))
        for device in devices
        if device.platform == "gpu"
    ]
    return automatic_precision(
        capabilities, any(device.platform == "tpu" for device in devices)
    )
