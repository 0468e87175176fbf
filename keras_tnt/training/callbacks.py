"""Callbacks of the trainer: interruption, checkpoints, evaluation, history."""

import contextlib
import math
import signal
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_tnt.training.checkpoints import Checkpoints
from keras_tnt.training.ema import ExponentialMovingAverage
from keras_tnt.training.history import History
from keras_tnt.training.readings import as_numbers, reads_metrics
from keras_tnt.training.state import TrainingState, first_not_finite

# Steps after which several workers agree on whether to stop.
STEPS_BETWEEN_POLLS = 10


class TrainingInterrupted(Exception):  # noqa: N818 (not an error)
    """A training was interrupted by a signal.

    Attributes:
        signal: number of the signal.

    Example:
        >>> import signal
        >>> from keras_tnt.training import TrainingInterrupted
        >>> print(TrainingInterrupted(signal.SIGTERM))
        stopped by SIGTERM
    """

    def __init__(self, number: int, message: str = ""):
        super().__init__(message or f"stopped by {signal.Signals(number).name}")
        self.signal = number


class InterruptOnSignal(keras.callbacks.Callback):
    """Ends a training between two steps after SIGTERM or SIGINT.

    Args:
        any_worker: function from this worker's flag to whether any worker's flag is
            set, or ``None`` for one worker. All workers call it at the same steps, so
            all of them stop at the same step.
    """

    def __init__(self, any_worker: Callable[[bool], bool] | None = None):
        super().__init__()
        self.any_worker = any_worker
        self.number = 0
        self._calls = 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals; the previous handlers are restored afterwards."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        try:
            before = [signal.signal(number, self._note) for number in numbers]
        except ValueError:  # only the main thread can set handlers
            yield
            return
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _note(self, number, frame):
        if self.number == signal.SIGINT == number:
            raise KeyboardInterrupt  # the second Ctrl-C
        self.number = number

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        stop = bool(self.number)
        if self.any_worker:
            self._calls += 1
            stop = self._calls % STEPS_BETWEEN_POLLS == 0 and self.any_worker(stop)
        if stop:
            raise TrainingInterrupted(self.number or signal.SIGTERM)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.number and not self.any_worker:
            raise TrainingInterrupted(self.number)


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves the state of a training every few steps, if it is finite.

    Args:
        checkpoints: a `keras_tnt.training.checkpoints.Checkpoints`.
        state: a `keras_tnt.training.state.TrainingState`.
        every: steps between two checkpoints.
        steps_per_epoch: steps of a full epoch.
        step: number of earlier steps.
        logs: means over the earlier part of the epoch.
        writes: whether this worker writes files.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        state: TrainingState,
        every: int,
        steps_per_epoch: int,
        step: int = 0,
        logs: Any = None,
        writes: bool = True,
    ):
        super().__init__()
        self.checkpoints = checkpoints
        self.state = state
        self.every = every
        self.steps_per_epoch = steps_per_epoch
        self.writes = writes
        self.step = self.saved = step
        self._before = (step % steps_per_epoch, logs or {})
        self._logs = logs or {}
        self._unread: Any = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._begin = self.step
        self._epoch_begin = epoch * self.steps_per_epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        before, self.step = self.step, self._begin + batch + 1
        self._unread = logs
        if self.step // self.every > self.saved // self.every:
            self.save()
        elif reads_metrics(self.step, before):
            self._read()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._check(logs)
        # The metrics of a resumed epoch cover all its steps.
        logs.update(self._with_before(logs))
        self._before, self._logs, self._unread = (0, {}), {}, None

    def _read(self):
        if self._unread is not None:
            logs, self._unread = as_numbers(self._unread), None
            self._check(logs)
            self._logs = self._with_before(logs)

    def _check(self, logs):
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(f"the loss is {logs['loss']} at step {self.step}")

    def save(self) -> None:
        """Save the current state, unless it is saved already."""
        if self.step == self.saved:
            return
        self._read()
        tensors = self.state.tensors()
        broken = first_not_finite(tensors)
        if broken:
            raise FloatingPointError(f"{broken} is not finite at step {self.step}")
        if self.writes:
            state = {"step": self.step, "logs": self._logs}
            self.checkpoints.save(self.step, tensors, state)
        self.saved = self.step

    def _with_before(self, logs):
        """Extend the means over this process's steps to those of the epoch."""
        before, means = self._before
        if not before:
            return dict(logs)
        steps = self.step - self._epoch_begin
        return {
            name: (means[name] * before + value * (steps - before)) / steps
            for name, value in logs.items()
        }


class Evaluation(keras.callbacks.Callback):
    """Evaluates the weights, and their average, after every epoch.

    Args:
        evaluate: function that evaluates the model and returns a dict of metrics.
        average: a `keras_tnt.training.ema.ExponentialMovingAverage`, or ``None``.
    """

    def __init__(
        self,
        evaluate: Callable[[], dict[str, float]],
        average: ExponentialMovingAverage | None = None,
    ):
        super().__init__()
        self.evaluate = evaluate
        self.average = average

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        figures = self.evaluate()
        logs.update({f"val_{name}": value for name, value in figures.items()})
        if self.average:
            with self.average.swapped_in():
                figures = self.evaluate()
            logs.update({f"val_ema_{name}": value for name, value in figures.items()})


class KeepBest(keras.callbacks.Callback):
    """Keeps the checkpoint of the epoch with the highest metric of the validation.

    It is that of the averaged weights, if there are any. Of equal values the first one
    counts. The callback must follow `Evaluation` and precede `WriteHistory`: an
    epoch with a row in the history has been compared.

    Args:
        checkpoints: `keras_tnt.training.checkpoints.Checkpoints` for the best one.
        state: a `keras_tnt.training.state.TrainingState`.
        steps_per_epoch: steps of a full epoch.
        patience: epochs without a higher value after which the training ends; no
            limit if ``None``.
        writes: whether this worker writes files.
        metric: name of the metric.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        state: TrainingState,
        steps_per_epoch: int,
        patience: int | None = None,
        writes: bool = True,
        metric: str = "accuracy",
    ):
        super().__init__()
        self.checkpoints = checkpoints
        self.state = state
        self.steps_per_epoch = steps_per_epoch
        self.patience = patience
        self.writes = writes
        self.metric = metric
        newest = checkpoints.newest()
        self.epoch = newest.state["epoch"] if newest else 0
        self.value = newest.state[metric] if newest else -math.inf

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        value = logs.get(f"val_ema_{self.metric}", logs[f"val_{self.metric}"])
        if value > self.value:
            self.epoch, self.value = epoch + 1, value
            if self.writes:
                step = (epoch + 1) * self.steps_per_epoch
                state = {"step": step, "epoch": epoch + 1, self.metric: value}
                self.checkpoints.save(step, self.state.tensors(), state)
        if self.ends_after(epoch + 1):
            self.model.stop_training = True

    def ends_after(self, epochs: int) -> bool:
        """Return whether the patience ends after this number of epochs."""
        return self.patience is not None and epochs - self.epoch >= self.patience


class WriteHistory(keras.callbacks.Callback):
    """Writes the metrics of every epoch, and its last learning rate, to a history.

    Args:
        history: a `keras_tnt.training.history.History`.
        learning_rates: function from a step, counted from 0, to its learning rate.
        steps_per_epoch: steps of a full epoch.
    """

    def __init__(
        self,
        history: History,
        learning_rates: Callable[[int], Any],
        steps_per_epoch: int,
    ):
        super().__init__()
        self.history = history
        self.learning_rates = learning_rates
        self.steps_per_epoch = steps_per_epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        last_step = (epoch + 1) * self.steps_per_epoch - 1
        rate = float(self.learning_rates(last_step))
        self.history.write({"epoch": epoch + 1, **logs, "learning_rate": rate})
