"""What XLA compiles, and where there is none."""

import platform

from keras_tnt.utils.lazy import tensorflow as tf


def compiled_by_xla() -> bool:
    """Return whether XLA compiles the TensorFlow function that is being traced.

    Fault: no public function of TensorFlow tells.
    Issue: no issue known.
    Seen in: TensorFlow 2.21.0 (first and last version checked).

    Returns:
        True in a `tf.function` with ``jit_compile=True``, in what it calls, and on the
        replicas of a `tf.distribute.TPUStrategy`.
    """
    from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

    return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def xla_is_missing() -> bool:
    """Return whether TensorFlow has no XLA for this machine's GPU.

    Fault: Apple's plug-in for the GPUs of Macs cannot compile functions.
    Issue: no issue known; Keras does not compile there either.
    Seen in: TensorFlow 2.21.0 (first and last version checked).
    """
    return platform.system() == "Darwin" and bool(tf.config.get_visible_devices("GPU"))
