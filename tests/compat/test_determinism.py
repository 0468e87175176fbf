"""Op determinism that ends."""

import contextlib

import tensorflow as tf
from tensorflow.python.framework import config

from keras_tnt.compat.determinism import deterministic_ops


def test_deterministic_ops__mode_is_restored():
    assert not config.is_op_determinism_enabled()
    with deterministic_ops(False):
        assert not config.is_op_determinism_enabled()
    with contextlib.suppress(KeyError), deterministic_ops():
        assert config.is_op_determinism_enabled()
        raise KeyError
    assert not config.is_op_determinism_enabled()


def test_deterministic_ops__users_own_mode_is_kept():
    tf.config.experimental.enable_op_determinism()
    try:
        with deterministic_ops():
            pass
        assert config.is_op_determinism_enabled()
    finally:
        config.disable_op_determinism()


def test_deterministic_ops__still_needed():
    """With public functions for both, use those."""
    assert not hasattr(tf.config.experimental, "disable_op_determinism")
