"""Layer normalization, computed in the form that is fastest on the device."""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_tnt.compat.operations import onednn_layer_norm, primitive_layer_norm
from keras_tnt.layers import fused_ops
from keras_tnt.utils.typing import Tensor

_DECOMPOSED = contextvars.ContextVar("decomposed", default=False)


@keras.saving.register_keras_serializable(package="keras_tnt")
class LayerNorm(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization`, several times as fast on CPUs.

    Weights and results are the same. Epsilon is 1e-5 by default, as in the published
    models. On TensorFlow without an accelerator, a norm over the last axis is one
    operation:

    - in inference, an operation of oneDNN (`keras_tnt.compat.operations`);
    - in training, a function compiled by XLA, and another one for its gradient.

    With an accelerator, the layer computes Keras's formula. XLA fuses it only if the
    whole step is compiled (`jit_compile`).

    Shapes: ``(batch, …, dim)`` to the same. All axes but the batch are static.

    Args:
        axis: the axes to normalize over together; the last by default.
        epsilon: value added to the variance.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: floating-point tensor ``(batch, …, dim)``.
        training: whether a gradient follows; the results do not depend on it.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import LayerNorm
        >>> LayerNorm()(keras.ops.ones((2, 17, 48))).shape
        TensorShape([2, 17, 48])
    """

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-5, **kwargs: Any
    ):
        super().__init__(axis=axis, epsilon=epsilon, **kwargs)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if _DECOMPOSED.get():
            return self._decomposed(inputs)
        if not self._fusible(inputs):
            return super().call(inputs)
        gamma, beta = tf.cast(self.gamma, "float32"), tf.cast(self.beta, "float32")
        if fused_ops.use_fused_ops(training):
            rows = tf.reshape(inputs, (-1, inputs.shape[-1]))
            rows = fused_ops.layer_norm(rows, gamma, beta, self.epsilon)
            outputs = tf.reshape(rows, tf.shape(inputs))
        else:
            outputs = onednn_layer_norm(inputs, self.epsilon) * gamma + beta
        return tf.cast(outputs, self.compute_dtype)

    def _decomposed(self, inputs):
        normalized = primitive_layer_norm(inputs, self.axis, self.epsilon)
        gamma, beta = ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32")
        return ops.cast(normalized * gamma + beta, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = keras.layers.Layer.get_config(self)
        return {**config, "axis": self.axis, "epsilon": self.epsilon}

    def _fusible(self, inputs):
        return (
            fused_ops.runs_on_cpu_only()
            and self.axis in (-1, [-1], [len(inputs.shape) - 1])
            and inputs.dtype != "float64"
        )


@contextlib.contextmanager
def decomposed_layer_norm() -> Iterator[None]:
    """Trace layer norms as primitive operations inside this context.

    The converters of ONNX, LiteRT and OpenVINO need this form; see
    `keras_tnt.compat.operations.primitive_layer_norm`.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import LayerNorm
        >>> from keras_tnt.layers.layer_norm import decomposed_layer_norm
        >>> with decomposed_layer_norm():
        ...     LayerNorm()(keras.ops.ones((2, 48))).shape
        TensorShape([2, 48])
    """
    token = _DECOMPOSED.set(True)
    try:
        yield
    finally:
        _DECOMPOSED.reset(token)
