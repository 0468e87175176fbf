"""Deterministic ops for a limited time."""

import contextlib
from collections.abc import Iterator

from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.lazy import tensorflow as tf


@contextlib.contextmanager
def deterministic_ops(enabled: bool = True) -> Iterator[None]:
    """Run TensorFlow's ops deterministically, and restore the previous mode.

    Fault: `tf.config.experimental.enable_op_determinism` holds for the rest of the
    process; the function that ends it and the one that reads the mode are not public.
    Issue: no issue known.
    Seen in: TensorFlow 2.21.0 (first and last version checked).

    Args:
        enabled: whether to change anything; other backends are not changed.
    """
    if not enabled or not uses_tensorflow():
        yield
        return
    from tensorflow.python.framework import config

    if config.is_op_determinism_enabled():
        yield
        return
    tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        config.disable_op_determinism()
