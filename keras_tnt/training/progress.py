"""The progress bar of a training."""

import time
from typing import Any

import keras

from keras_tnt.training.readings import as_numbers, reads_metrics

SPEED_METRICS = ("images_per_second", "minutes_left")


class Progress(keras.callbacks.Callback):
    """Keras's progress bar, with images per second and the remaining minutes.

    Args:
        epochs: epochs of the training.
        steps_per_epoch: steps of a full epoch.
        batch_size: images of a step.
        step: number of earlier steps.
        verbose: 0 for no output, 1 for a bar, 2 for a line for each epoch.
    """

    def __init__(
        self,
        epochs: int,
        steps_per_epoch: int,
        batch_size: int,
        step: int = 0,
        verbose: int = 1,
    ):
        super().__init__()
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.batch_size = batch_size
        self.verbose = verbose
        self._before = step % steps_per_epoch
        self._between = 0.0  # seconds between two epochs
        self._end: float | None = None
        self._first: tuple[float, int] | None = None
        self._bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self.verbose:
            print(f"Epoch {epoch + 1}/{self.epochs}")
        self.epoch = epoch
        self._first = self._bar = None
        self._steps = 0
        self._speed: dict[str, float] = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        before, self._steps = self._steps, batch + 1
        last = self._before + self._steps == self.steps_per_epoch
        if self._first is None or last or reads_metrics(self._steps, before):
            self._show(as_numbers(logs))

    def _show(self, logs):
        """Update the bar after a step that the device has computed."""
        now, batch = time.monotonic(), self._steps - 1
        if self._first is None:  # the first step includes the compilation
            self._first = (now, batch)
            if self._end is not None:
                self._between = now - self._end
        else:
            rate = (batch - self._first[1]) / (now - self._first[0])
            left = self.steps_per_epoch - self._before - self._steps
            epochs = self.epochs - self.epoch - 1
            seconds = (left + epochs * self.steps_per_epoch) / rate
            self._speed = {
                "images_per_second": rate * self.batch_size,
                "minutes_left": (seconds + epochs * self._between) / 60,
            }
        self._end = now
        if self._bar is None:
            target = self.steps_per_epoch - self._before
            self._bar = keras.utils.Progbar(
                target, verbose=self.verbose, stateful_metrics=[*logs, *SPEED_METRICS]
            )
        shown = list((logs | self._speed).items())
        self._bar.update(self._steps, shown, finalize=False)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if "images_per_second" in self._speed:
            logs["images_per_second"] = self._speed["images_per_second"]
        shown = list((logs | self._speed).items())
        self._bar.stateful_metrics.update(name for name, _ in shown)
        self._bar.update(self._bar.target, shown, finalize=True)
        self._before = 0
