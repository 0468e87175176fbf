"""The exponential moving average of a model's weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_tnt.compat.keras_training import update_variables
from keras_tnt.training import ema_on_jax
from keras_tnt.utils.backend import uses_jax


class ExponentialMovingAverage(keras.callbacks.Callback):
    """Keeps an exponential moving average (EMA) of the weights during `model.fit`.

    The average a starts at the initial weights. Every step moves it towards the weights
    w that it has updated:

        a ← a + (1 - d)·(w - a)

    The average is on the device of the weights and is part of the training step, so
    nothing waits for it, and with `steps_per_execution` it moves in every step too.
    Moving statistics of batch normalization are averaged like weights. Weights of half
    precision have an average in float32, which keeps small differences. A step that
    updates no weights, because it accumulates gradients or because they overflowed
    float16, does not move the average.

    Args:
        decay: the decay d, above 0 and below 1; 0.99996 in the paper's recipe.
        warmup: whether d is ``min(decay, (1 + t) / (10 + t))`` at step t, counted from
            1 by the optimizer. In a short training the initial weights then leave the
            average sooner.

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
        self.variables: list[keras.Variable] = []
        self._in_step = contextlib.ExitStack()

    def set_model(self, model: keras.Model) -> None:
        """Start the average at the model's weights, once."""
        super().set_model(model)
        if self.variables:
            return
        self._weights = [
            w for w in model.weights if keras.backend.is_float_dtype(w.dtype)
        ]
        if uses_jax():
            self.variables = ema_on_jax.average_variables(self._weights)
            self._step = int(model.optimizer.iterations.numpy())
            return
        with model.distribute_strategy.scope():
            self.variables = [
                keras.Variable(
                    ops.cast(w, keras.backend.result_type(w.dtype, "float32")),
                    trainable=False,
                    autocast=False,
                    name=w.name,
                )
                for w in self._weights
            ]

    def on_train_begin(self, logs: Any = None) -> None:
        if uses_jax():
            self._step = int(self.model.optimizer.iterations.numpy())
            return
        self._in_step.close()  # after a training that ended with an error
        self._in_step.enter_context(self.moving())

    def on_train_end(self, logs: Any = None) -> None:
        self._in_step.close()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not uses_jax():
            return
        step = int(self.model.optimizer.iterations.numpy())
        kept = 1.0
        for t in range(self._step + 1, step + 1):
            kept *= min(self.decay, (1 + t) / (10 + t)) if self.warmup else self.decay
        ema_on_jax.move(self.variables, self._weights, kept)
        self._step = step

    @contextlib.contextmanager
    def moving(self) -> Iterator[None]:
        """Move the average in the model's training steps inside this context.

        As a callback the average does so itself during `fit`.
        """
        model, step = self.model, self.model.train_step
        own = vars(model).get("train_step")

        def train_step(data):
            before = model.optimizer.iterations + 0  # its value, not the variable
            logs = step(data)
            self._move(model.optimizer.iterations, before)
            return logs

        model.train_step = train_step
        model.make_train_function(force=True)
        try:
            yield
        finally:
            del model.train_step
            if own:
                model.train_step = own
            model.train_function = None

    def _move(self, step, before):
        shares = {
            dtype: ops.where(step > before, self._share(ops.cast(step, dtype)), 0)
            for dtype in {average.dtype for average in self.variables}
        }
        for average, weight in zip(self.variables, self._weights, strict=True):
            difference = ops.cast(weight, average.dtype) - average
            average.assign_add(shares[average.dtype] * difference)

    def _share(self, step):
        """The share 1 - d of the weights at a step."""
        share = ops.convert_to_tensor(1 - self.decay, step.dtype)
        return ops.maximum(share, 9 / (10 + step)) if self.warmup else share

    def copy_to_model(self) -> None:
        """Assign the average to the model's weights."""
        for weight, average in zip(self._weights, self.variables, strict=True):
            # A copy: on JAX a step deletes the buffers that it is given.
            weight.assign(ops.copy(ops.cast(average, weight.dtype)))

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Assign the average to the model's weights, and restore them afterwards."""
        update_variables(self.model)
        own = [weight.numpy() for weight in self._weights]
        try:
            self.copy_to_model()
            yield
        finally:
            update_variables(self.model)  # after an interrupted evaluation
            for weight, value in zip(self._weights, own, strict=True):
                weight.assign(value)
