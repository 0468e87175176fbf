"""Which of Keras's backends computes."""

import sys
from typing import Any

import keras

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
