"""The exponential moving average of a model's weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_tnt.utils.lazy import tensorflow as tf


class ExponentialMovingAverage(keras.callbacks.Callback):
    """Keeps an exponential moving average (EMA) of the weights during `model.fit`.

    The average a starts at the initial weights. After every step it moves towards the
    weights w:

        a ← d·a + (1 - d)·w

    With `steps_per_execution` of k, it moves once in k steps, by d^k. Moving statistics
    of batch normalization are averaged like weights. Weights of half precision have an
    average in float32, which keeps small differences.

    Args:
        decay: the decay d, above 0 and below 1; 0.99996 in the paper's recipe.
        warmup: whether d is ``min(decay, (1 + t) / (10 + t))`` at step t, counted from
            1. In a short training the initial weights then leave the average sooner.

    Raises:
        ValueError: if `decay` is out of range.

    Example:
        ```python
        average = ExponentialMovingAverage(0.9999)
        model.fit(train, epochs=10, callbacks=[average])
        with average.swapped_in():
            model.evaluate(validation)
            model.save("averaged.keras")
        ```
    """

    def __init__(self, decay: float, warmup: bool = False):
        super().__init__()
        if not 0 < decay < 1:
            raise ValueError(f"decay must be above 0 and below 1, got {decay}.")
        self.decay = decay
        self.warmup = warmup
        self.variables: list[tf.Variable] = []

    def set_model(self, model: keras.Model) -> None:
        """Start the average at the model's weights, once."""
        super().set_model(model)
        if self.variables:
            return
        self._weights = [
            w for w in model.weights if keras.backend.is_float_dtype(w.dtype)
        ]
        # Outside of the strategy's scope: one copy, not one for each device.
        self.variables = [
            tf.Variable(_in_float32(w), trainable=False, name=w.path)
            for w in self._weights
        ]
        self._move = tf.function(self._move_towards_the_weights)
        self._step = int(model.optimizer.iterations.numpy())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = int(self.model.optimizer.iterations.numpy())
        share = 1.0
        for t in range(self._step + 1, step + 1):
            share *= self._decay_at(t)
        self._move(tf.constant(share))
        self._step = step

    def _decay_at(self, step):
        return min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay

    def restart(self, step: int) -> None:
        """Continue from the weights and the average of a step."""
        self._step = step

    def _move_towards_the_weights(self, share):
        for average, weight in zip(self.variables, self._weights, strict=True):
            share_of_dtype = tf.cast(share, average.dtype)
            value = tf.cast(weight.value, average.dtype)
            average.assign(share_of_dtype * average + (1 - share_of_dtype) * value)

    def copy_to_model(self) -> None:
        """Assign the average to the model's weights."""
        for weight, average in zip(self._weights, self.variables, strict=True):
            weight.assign(tf.cast(average, weight.dtype))

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Assign the average to the model's weights, and restore them afterwards."""
        own = [weight.numpy() for weight in self._weights]
        try:
            self.copy_to_model()
            yield
        finally:
            for weight, value in zip(self._weights, own, strict=True):
                weight.assign(value)


def _in_float32(weight):
    """The value of a weight, in float32 or more."""
    dtype = keras.backend.result_type(weight.dtype, "float32")
    return tf.cast(weight.numpy(), dtype)
