"""XLA-compiled layer norm and GELU (forward and gradient) for training.

TensorFlow runs each element-wise operation separately and reads and writes the whole
tensor every time. The gradient of a GELU alone takes ten passes. A compiled function
takes one pass forward and one backward, and keeps only its input for the gradient.
Matrix products stay outside, because on CPUs oneDNN computes them faster than XLA. If
XLA compiles the whole training step, it fuses the plain arithmetic, and the layers use
no fused ops. Inference uses none either: oneDNN already fuses norms and GELUs there,
and TensorFlow Serving has no XLA on CPUs.

XLA compiles a function anew for each number of rows, in about 0.1 s and 1 MB. Other
batch sizes, such as that of the last batch of an epoch, are therefore padded to the
next of `BATCH_SIZES`. The usual batch sizes are among them, and nothing is copied.
"""

from __future__ import annotations

import bisect
import contextlib
import contextvars
import math
from collections.abc import Iterator

from keras_tnt.compat.xla import compiled_by_xla, xla_is_missing
from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.lazy import tf_function
from keras_tnt.utils.typing import Shape, Tensor

compiled = tf_function(jit_compile=True, autograph=False)

# The sizes that functions are compiled for: 1 to 8, and four for each factor of 2.
BATCH_SIZES = [*range(1, 5), *(n << shift for shift in range(24) for n in (5, 6, 7, 8))]

_PARTS = contextvars.ContextVar("parts_per_image", default=1)


def runs_on_cpu_only() -> bool:
    """Return whether the backend is TensorFlow that sees neither GPUs nor TPUs."""
    return (
        uses_tensorflow()
        and not tf.config.get_visible_devices("GPU")
        and not tf.config.list_logical_devices("TPU")
    )


def inside_compiled_function() -> bool:
    """Return whether XLA compiles the function in which a layer is called."""
    return uses_tensorflow() and compiled_by_xla()


def use_fused_ops(training: bool | None) -> bool:
    """Return whether a layer should use the fused ops, on any device.

    It should in training with TensorFlow, unless XLA compiles the whole step. Then the
    plain arithmetic is fused too, together with what surrounds it.

    The function that is being traced tells, so this holds for the trainer, for Keras's
    `fit` and for other loops. Without a strategy, Keras compiles the step by default
    if there is a GPU; under a strategy, or on CPUs, it does not.

    Args:
        training: whether the layer is training.
    """
    return (
        bool(training)
        and uses_tensorflow()
        and not xla_is_missing()
        and not compiled_by_xla()
    )


@contextlib.contextmanager
def parts_per_image(count: int | Tensor) -> Iterator[None]:
    """Tell layers inside this context that ``count`` of their inputs are one image.

    Layers on the pixels of a patch get batches of patches. The number of images among
    them decides on padding. A tensor stands for a number that is not static.

    Example:
        >>> from keras_tnt.layers import fused_ops
        >>> with fused_ops.parts_per_image(16):
        ...     fused_ops.rows_per_image((None, 9, 24))
        144
    """
    token = _PARTS.set(count)
    try:
        yield
    finally:
        _PARTS.reset(token)


def rows_per_image(shape: Shape) -> int:
    """Return the number of rows of an image in a tensor ``(batch, …, dim)``.

    If that is not static, it is 1: all rows count as images, and images of all sizes
    share a few compiled functions.

    Args:
        shape: its shape.
    """
    counts = [*shape[1:-1], _PARTS.get()]
    is_static = all(isinstance(count, int) for count in counts)
    return math.prod(counts) if is_static else 1


def gelu(x: Tensor, rows_per_image: int = 1) -> Tensor:
    """Compute the exact GELU; see `keras_tnt.layers.gelu`.

    Args:
        x: floating-point tensor ``(rows, dim)``.
        rows_per_image: how many rows belong to one image.

    Returns:
        A tensor of the same shape and dtype.
    """

    @tf.custom_gradient
    def activate(x):
        rows = x.shape[0] or tf.shape(x)[0]
        x = _pad(x, rows_per_image)

        def gradient(upstream):
            upstream = _pad(upstream, rows_per_image)
            return _crop(_gelu_gradient(x, upstream), rows)

        return _crop(_gelu(x), rows), gradient

    return activate(x)


def layer_norm(
    x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, rows_per_image: int = 1
) -> Tensor:
    """Normalize rows, computed in float32.

    Args:
        x: floating-point tensor ``(rows, dim)``.
        gamma: float32 tensor ``(dim,)``.
        beta: float32 tensor ``(dim,)``.
        epsilon: what is added to the variance.
        rows_per_image: how many rows belong to one image.

    Returns:
        A tensor of the shape and dtype of ``x``.
    """

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        rows = x.shape[0] or tf.shape(x)[0]
        x = _pad(x, rows_per_image)

        def gradients(upstream):
            upstream = _pad(upstream, rows_per_image)
            of_x, *others = _layer_norm_gradients(x, gamma, upstream, epsilon)
            return _crop(of_x, rows), *others

        return _crop(_layer_norm(x, gamma, beta, epsilon), rows), gradients

    return normalize(x, gamma, beta)


def _pad(x, rows_per_image):
    """Add rows of zeros to the next of `BATCH_SIZES`."""
    rows = x.shape[0]
    if rows is None:
        return _pad_unknown(x, rows_per_image)
    index = bisect.bisect_left(BATCH_SIZES, -(-rows // rows_per_image))
    padding = BATCH_SIZES[index] * rows_per_image - rows
    return tf.pad(x, ((0, padding), (0, 0))) if padding else x


@tf_function(autograph=False)
def _pad_unknown(x, rows_per_image):
    """Do the same for a number of rows that is known when the graph runs."""
    rows = tf.shape(x)[0]
    images = -(-rows // rows_per_image)
    index = tf.searchsorted(BATCH_SIZES, [images])[0]
    padding = tf.gather(BATCH_SIZES, index) * rows_per_image - rows
    return tf.cond(padding > 0, lambda: tf.pad(x, ((0, padding), (0, 0))), lambda: x)


def _crop(x, rows):
    """Remove the rows that `_pad` added; TensorFlow copies nothing."""
    return x if isinstance(rows, int) and x.shape[0] == rows else x[:rows]


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
