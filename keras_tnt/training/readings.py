"""When a training reads its metrics, for which it waits for the device."""

from typing import Any

import keras

# Steps after which the metrics are read. Until then nothing waits for the device.
STEPS_BETWEEN_READINGS = 20


class CallbacksWithoutWaiting(keras.callbacks.CallbackList):
    """Gives callbacks the metrics of a step as tensors, which the device may compute.

    Keras makes numbers of them after every step, and so waits for the device until it
    has computed the step.
    """

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)


def as_numbers(logs: dict[str, Any]) -> dict[str, float]:
    """Return metrics as numbers; this waits for the device.

    Example:
        >>> import keras
        >>> from keras_tnt.training.readings import as_numbers
        >>> as_numbers({"loss": keras.ops.ones(())})
        {'loss': 1.0}
    """
    return {name: float(value) for name, value in logs.items()}


def reads_metrics(step: int, before: int) -> bool:
    """Return whether metrics are read at a step, or at one since the step before.

    Example:
        >>> from keras_tnt.training.readings import reads_metrics
        >>> reads_metrics(39, 38), reads_metrics(40, 39), reads_metrics(42, 36)
        (False, True, True)
    """
    return step // STEPS_BETWEEN_READINGS > before // STEPS_BETWEEN_READINGS
