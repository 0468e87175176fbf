"""XLA-compiled layer norm and GELU (forward and gradient) for CPU training.

TensorFlow runs each element-wise operation separately and reads and writes the whole
tensor every time. The gradient of a GELU alone takes ten passes. A compiled function
takes one pass forward and one backward, and keeps only its input for the gradient.
Matrix products stay outside, because oneDNN computes them faster than XLA. Inference
uses no fused ops: oneDNN already fuses norms and GELUs there, and TensorFlow Serving
has no XLA on CPUs.
"""

import functools
import math

import keras
import tensorflow as tf

from keras_tnt.utils.typing import Tensor

compiled = functools.partial(tf.function, jit_compile=True, autograph=False)


def runs_on_cpu_only() -> bool:
    """Return whether the backend is TensorFlow without GPUs and TPUs."""
    return (
        keras.backend.backend() == "tensorflow"
        and not tf.config.list_physical_devices("GPU")
        and not tf.config.list_logical_devices("TPU")
    )


def use_fused_ops(training: bool | None) -> bool:
    """Return whether a layer should use the fused ops: in training on CPUs.

    With GPUs or TPUs this returns False. There, XLA fuses these operations only if the
    whole step is compiled (`jit_compile`). Keras does not do that by default under a
    distribution strategy.

    Args:
        training: whether the layer is training.
    """
    return bool(training) and runs_on_cpu_only()


@tf.custom_gradient
def gelu(x: Tensor) -> Tensor:
    """Compute the exact GELU; see `keras_tnt.layers.gelu`.

    Args:
        x: floating-point tensor of static rank.

    Returns:
        A tensor of the same shape and dtype.
    """
    return _gelu(x), lambda upstream: _gelu_gradient(x, upstream)


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    """Normalize rows, computed in float32.

    Args:
        x: floating-point tensor ``(rows, dim)``.
        gamma: float32 tensor ``(dim,)``.
        beta: float32 tensor ``(dim,)``.
        epsilon: what is added to the variance.

    Returns:
        A tensor of the shape and dtype of ``x``.
    """

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        return (
            _layer_norm(x, gamma, beta, epsilon),
            lambda upstream: _layer_norm_gradients(x, gamma, upstream, epsilon),
        )

    return normalize(x, gamma, beta)


@compiled
def _gelu(x):
    return 0.5 * x * (1 + tf.math.erf(x * math.sqrt(0.5)))


@compiled
def _gelu_gradient(x, upstream):
    probability = 0.5 * (1 + tf.math.erf(x * math.sqrt(0.5)))
    density = tf.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return upstream * (probability + x * density)


@compiled
def _layer_norm(x, gamma, beta, epsilon):
    normalized, _ = _normalized(x, epsilon)
    return tf.cast(normalized * gamma + beta, x.dtype)


@compiled
def _layer_norm_gradients(x, gamma, upstream, epsilon):
    normalized, scale = _normalized(x, epsilon)
    upstream = tf.cast(upstream, tf.float32)
    direct = upstream * gamma
    along = tf.reduce_mean(direct * normalized, axis=-1, keepdims=True)
    mean = tf.reduce_mean(direct, axis=-1, keepdims=True)
    return (
        tf.cast(scale * (direct - mean - normalized * along), x.dtype),
        tf.reduce_sum(upstream * normalized, axis=0),
        tf.reduce_sum(upstream, axis=0),
    )


def _normalized(x, epsilon):
    """Return rows with mean 0 and variance 1, and the factor of each row."""
    x = tf.cast(x, tf.float32)
    centered = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean(centered * centered, axis=-1, keepdims=True)
    scale = tf.math.rsqrt(variance + epsilon)
    return centered * scale, scale
