"""Which of Keras's backends computes."""

import sys
from typing import Any

import keras

from keras_tnt.utils.lazy import import_tensorflow
from keras_tnt.utils.lazy import tensorflow as tf


def uses_tensorflow(*values: Any) -> bool:
    """Return whether TensorFlow processes values, rather than NumPy.

    It does on Keras's TensorFlow backend. On the other backends it does where a value
    is one of its tensors, as inside `tf.data`.

    Args:
        *values: arrays, tensors or anything else.

    Example:
        >>> import numpy as np
        >>> from keras_tnt.utils.backend import uses_tensorflow
        >>> uses_tensorflow(np.zeros(3))
        True
    """
    return keras.backend.backend() == "tensorflow" or (
        "tensorflow" in sys.modules and any(tf.is_tensor(value) for value in values)
    )


def uses_jax() -> bool:
    """Return whether Keras computes with JAX.

    Example:
        >>> from keras_tnt.utils.backend import uses_jax
        >>> uses_jax()
        False
    """
    return keras.backend.backend() == "jax"


def require_tensorflow_backend(what: str) -> None:
    """Check that Keras computes with TensorFlow.

    Args:
        what: what needs it, the start of the error.

    Raises:
        ImportError: if TensorFlow is not installed, in one line.
        ValueError: if Keras has another backend.

    Example:
        >>> from keras_tnt.utils.backend import require_tensorflow_backend
        >>> require_tensorflow_backend("An export")
    """
    import_tensorflow()
    if not uses_tensorflow():
        raise ValueError(
            f"{what} needs Keras's TensorFlow backend, not "
            f"{keras.backend.backend()}. Save the model as a .keras file, and load it "
            "where KERAS_BACKEND is tensorflow."
        )
