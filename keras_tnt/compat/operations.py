"""Operations that Keras computes in a form that other software handles badly."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Tensor


def gelu_by_erf(x: Tensor) -> Tensor:
    """Compute the exact GELU, ``x · (1 + erf(x / sqrt(2))) / 2``.

    Fault: `keras.activations.gelu(approximate=False)` uses the complementary error
    function, an operator that ONNX does not have.
    Issue: no issue known.
    Seen in: Keras 3.15.1 with ONNX 1.23.2 (first and last versions checked).

    Args:
        x: floating-point tensor of any shape.

    Returns:
        A tensor of the same shape and dtype.
    """
    x = ops.convert_to_tensor(x)
    return 0.5 * x * (1.0 + ops.erf(x * 0.7071067811865476))


def crop_to_windows(images: Tensor, kernel: int, stride: int, margin: int) -> Tensor:
    """Crop the rows and columns behind the last window of a convolution.

    Fault: TensorFlow fuses a convolution and the padding before it. If no window
    reaches the last rows of the image, let alone the padding, oneDNN reads outside the
    image in float16 on CPUs with AVX512-FP16: values change from call to call, become
    NaN, or the process ends.
    Issue: no issue known.
    Seen in: TensorFlow 2.21.0 (first and last versions checked).

    Args:
        images: tensor ``(batch, side, side, channels)``; the side is static.
        kernel: side of a window.
        stride: distance between windows.
        margin: rows and columns that are padded afterwards, on each side.

    Returns:
        A tensor ``(batch, seen, seen, channels)``; the images themselves where windows
        reach all rows.
    """
    side = images.shape[1]
    windows = (side + 2 * margin - kernel) // stride
    seen = windows * stride + kernel - margin
    return images[:, :seen, :seen] if seen < side else images


def onednn_layer_norm(inputs: Tensor, epsilon: float) -> Tensor:
    """Normalize over the last axis in the form that TensorFlow fuses on CPUs.

    Fault: TensorFlow's graph optimizer does not fuse Keras's formula of a layer norm.
    It fuses a batch norm of one image whose channels are the rows, which becomes one
    oneDNN operation. It does not match this pattern if it can compute the number of
    rows, so `PlaceholderWithDefault` hides a static number.
    Issue: no issue known.
    Seen in: TensorFlow 2.21.0 with Keras 3.15.1 (first and last versions checked).

    Args:
        inputs: float32 or bfloat16 tensor ``(…, dim)``; ``dim`` is static. TensorFlow
            fuses bfloat16 in graphs, for two or three axes, on CPUs that have it. The
            operation computes in float32, and rounds its results once.
        epsilon: what is added to the variance.

    Returns:
        A tensor of the same shape and dtype, before scale and offset.
    """
    x = inputs
    shape = tf.shape(x)
    rows = tf.reduce_prod(shape[:-1], keepdims=True)
    if x.shape[0] is not None:
        rows = tf.raw_ops.PlaceholderWithDefault(input=rows, shape=(1,))
    empty = tf.constant([])
    normalized = tf.raw_ops.FusedBatchNormV3(
        x=tf.reshape(x, (1, -1, x.shape[-1], 1)),
        scale=tf.fill(rows, 1.0),
        offset=tf.fill(rows, 0.0),
        mean=empty,
        variance=empty,
        epsilon=epsilon,
        data_format="NCHW",
        is_training=True,
    ).y
    return tf.reshape(normalized, shape)


def primitive_layer_norm(
    inputs: Tensor, axis: int | Sequence[int], epsilon: float
) -> Tensor:
    """Normalize with primitive operations, the pattern that other runtimes fuse.

    Fault: OpenVINO fuses neither Keras's formula of a layer norm nor the form of
    `onednn_layer_norm`. In ONNX and LiteRT files both need more operations than this.
    Issue: no issue known.
    Seen in: OpenVINO 2026.4.1 with Keras 3.15.1 (first and last versions checked).

    Args:
        inputs: floating-point tensor.
        axis: the axes to normalize over together.
        epsilon: what is added to the variance.

    Returns:
        A tensor of the same shape, before scale and offset; float64 for float64
        inputs, otherwise float32.
    """
    x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
    centered = x - ops.mean(x, axis, keepdims=True)
    variance = ops.mean(ops.square(centered), axis, keepdims=True)
    return centered / ops.sqrt(variance + epsilon)


def softmax(scores: Tensor) -> Tensor:
    """Compute the softmax over the last axis, which may have a single entry.

    Fault: `keras.ops.softmax` warns about an axis of size 1. Attention to a single
    pooled key is valid: its weight is 1.
    Issue: no issue known; the warning is intended.
    Seen in: Keras 3.15.1 (first and last version checked).

    Args:
        scores: floating-point tensor.

    Returns:
        A tensor of the same shape and dtype.
    """
    # The product keeps the gradients of queries and keys defined: they are 0.
    return 0 * scores + 1 if scores.shape[-1] == 1 else ops.softmax(scores)
