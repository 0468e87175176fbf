"""Layer normalization, computed in the form that is fastest where it runs."""

import contextlib
import contextvars
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
from keras import ops

from keras_tnt.compat.keras_layers import WeightStates
from keras_tnt.compat.operations import onednn_layer_norm, primitive_layer_norm
from keras_tnt.layers import fused_ops
from keras_tnt.utils.cpu import has_bfloat16
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Tensor

# "primitive", "onednn", or None for the fastest form on this machine.
_FORM = contextvars.ContextVar[str | None]("layer_norm_form", default=None)


@keras.saving.register_keras_serializable(package="keras_tnt")
class LayerNorm(WeightStates, keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization`, several times as fast on CPUs.

    Weights and results are the same. Epsilon is 1e-5 by default, as in the published
    models. On TensorFlow, a norm over the last axis is one operation:

    - in training, a function compiled by XLA, and another one for its gradient;
    - in inference without GPUs and TPUs, an operation of oneDNN
      (`keras_tnt.compat.operations`), also in bfloat16 on CPUs that have it.

    In a function that XLA compiles as a whole (`jit_compile`), and in inference with an
    accelerator, the layer computes Keras's formula.

    Shapes: ``(batch, …, dim)`` to the same; ``dim`` is static.

    Args:
        axis: the axes to normalize over together; the last by default. A negative axis
            counts from the last axis of each input.
        epsilon: value added to the variance.
        **kwargs: the other arguments of `keras.layers.LayerNormalization`, such as
            `center`, `scale`, `gamma_initializer`, `name` and `dtype`.

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
        # `build` of Keras changes `axis`, from 3.16 on to that of the rank it is given.
        self._axis = axis if isinstance(axis, int) else tuple(axis)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        axes = self._axes(len(inputs.shape))
        fusible = self._fusible(inputs, axes)
        form = _FORM.get()
        if form == "primitive" and not self.rms_scaling:
            normalized = primitive_layer_norm(inputs, axes, self.epsilon)
            outputs = self._scale_and_center(normalized, axes)
        elif fusible and fused_ops.use_fused_ops(training):
            outputs = self._fused(inputs)
        elif (
            fusible
            and (form == "onednn" or fused_ops.runs_on_cpu_only())
            and not fused_ops.inside_compiled_function()
        ):
            inputs = ops.cast(inputs, self._onednn_dtype(inputs))
            normalized = onednn_layer_norm(inputs, self.epsilon)
            outputs = self._scale_and_center(normalized, axes)
        else:
            outputs = ops.layer_normalization(
                inputs,
                self.gamma,
                self.beta,
                axes,
                self.epsilon,
                rms_scaling=self.rms_scaling,
            )
        return ops.cast(outputs, self.compute_dtype)

    def _axes(self, rank):
        """Return the axes of an input of this rank, not negative and sorted."""
        axes = (self._axis,) if isinstance(self._axis, int) else self._axis
        return sorted(axis % rank for axis in axes)

    def _fusible(self, inputs, axes):
        return (
            axes == [len(inputs.shape) - 1]
            and inputs.dtype != "float64"
            and not self.rms_scaling
        )

    def _onednn_dtype(self, inputs):
        """Return bfloat16 if TensorFlow makes that one operation, else float32."""
        is_one_operation = (
            inputs.dtype == "bfloat16"
            and len(inputs.shape) in (2, 3)
            and self.scale
            and self.center
            and tf.inside_function()
            and has_bfloat16()
        )
        return "bfloat16" if is_one_operation else "float32"

    def _fused(self, inputs):
        dim = inputs.shape[-1]
        gamma = tf.ones(dim) if self.gamma is None else tf.cast(self.gamma, "float32")
        beta = tf.zeros(dim) if self.beta is None else tf.cast(self.beta, "float32")
        rows = tf.reshape(inputs, (-1, dim))
        rows_per_image = fused_ops.rows_per_image(inputs.shape)
        rows = fused_ops.layer_norm(rows, gamma, beta, self.epsilon, rows_per_image)
        return tf.reshape(rows, tf.shape(inputs))

    def _scale_and_center(self, normalized, axes):
        sides = enumerate(normalized.shape)
        shape = tuple(side if axis in axes else 1 for axis, side in sides)
        if self.gamma is not None:
            normalized *= _broadcast(self.gamma, shape, normalized.dtype)
        if self.beta is not None:
            normalized += _broadcast(self.beta, shape, normalized.dtype)
        return normalized

    def get_config(self) -> dict[str, Any]:
        axis = self._axis if isinstance(self._axis, int) else list(self._axis)
        return {**super().get_config(), "axis": axis}


def _broadcast(weight, shape, dtype):
    """Cast a weight, and give it this shape unless it broadcasts to it."""
    weight = ops.cast(weight, dtype)
    trailing = shape[len(shape) - len(weight.shape) :]
    return weight if tuple(weight.shape) == trailing else ops.reshape(weight, shape)


def decomposed_layer_norm() -> AbstractContextManager[None]:
    """Trace layer norms as primitive operations inside this context.

    The converters of ONNX, LiteRT and OpenVINO need this form; see
    `keras_tnt.compat.operations.primitive_layer_norm`. A SavedModel has it too, because
    it may run on other devices than those it was written on.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import LayerNorm
        >>> from keras_tnt.layers.layer_norm import decomposed_layer_norm
        >>> with decomposed_layer_norm():
        ...     LayerNorm()(keras.ops.ones((2, 48))).shape
        TensorShape([2, 48])
    """
    return _form("primitive")


def layer_norm_for_cpus() -> AbstractContextManager[None]:
    """Trace layer norms as the operation of oneDNN, also on a machine with a GPU.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import LayerNorm
        >>> from keras_tnt.layers.layer_norm import layer_norm_for_cpus
        >>> with layer_norm_for_cpus():
        ...     LayerNorm()(keras.ops.ones((2, 48))).shape
        TensorShape([2, 48])
    """
    return _form("onednn")


@contextlib.contextmanager
def _form(form):
    token = _FORM.set(form)
    try:
        yield
    finally:
        _FORM.reset(token)
