"""Gradients on every backend of Keras."""

import importlib
from collections.abc import Callable

import keras

from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Tensor


def gradient_of_sum(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Return the gradient of the sum of a function's values, outside of a graph.

    Args:
        function: function of a tensor, made of Keras's operations.
        inputs: floating-point tensor.

    Returns:
        A tensor of the inputs' shape.

    Example:
        >>> import keras
        >>> from keras_tnt.utils.gradients import gradient_of_sum
        >>> gradient_of_sum(keras.ops.square, keras.ops.ones((2,))).numpy()
        array([2., 2.], dtype=float32)
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            total = keras.ops.sum(function(inputs))
        return tape.gradient(total, inputs)
    if backend == "jax":
        jax = importlib.import_module("jax")
        return jax.grad(lambda x: keras.ops.sum(function(x)))(inputs)
    if backend == "torch":
        torch = importlib.import_module("torch")
        inputs = inputs.detach().requires_grad_(True)
        return torch.autograd.grad(keras.ops.sum(function(inputs)), inputs)[0]
    raise ValueError(
        f"Keras's {backend} backend computes no gradients. Use TensorFlow, JAX or "
        "PyTorch: set KERAS_BACKEND before you import keras."
    )
