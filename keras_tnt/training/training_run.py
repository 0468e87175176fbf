"""A running training: epochs, checkpoints, evaluation and its end."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from typing import NamedTuple

import keras

from keras_tnt import distribute
from keras_tnt.distribute.strategy import Strategy
from keras_tnt.training.builders import Sources, learning_rates, trained_share
from keras_tnt.training.callbacks import (
    Evaluation,
    InterruptOnSignal,
    KeepBest,
    SaveCheckpoints,
    TrainingInterrupted,
    WriteHistory,
)
from keras_tnt.training.checkpoints import Checkpoints
from keras_tnt.training.ema import ExponentialMovingAverage
from keras_tnt.training.history import History
from keras_tnt.training.progress import Progress
from keras_tnt.training.readings import CallbacksWithoutWaiting
from keras_tnt.training.recipe import Recipe
from keras_tnt.training.run_directory import RunDirectory
from keras_tnt.training.state import TrainingState
from keras_tnt.training.task import task_of
from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.files import atomic_write


class TrainingResult(NamedTuple):
    """The result of a training.

    Attributes:
        model: the trained `keras.Model`, with averaged weights if the recipe has them,
            of the best epoch if it says so.
        history: a dict of metrics for each epoch, in order.
    """

    model: keras.Model
    history: list


class TrainingRun:
    """A running training.

    All workers do the same; only the chief prints and writes files.

    Args:
        recipe: the recipe.
        run: the directory to write to.
        strategy: the devices, of `keras_tnt.distribute`.
        sources: the images.
        model: the compiled model.
        steps_per_epoch: steps of an epoch.
        verbose: 0, 1 or 2, as in `train`.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: RunDirectory,
        strategy: Strategy,
        sources: Sources,
        model: keras.Model,
        steps_per_epoch: int,
        verbose: int,
    ):
        self.recipe, self.directory, self.strategy = recipe, run, strategy
        self.task = task_of(recipe)
        self.sources, self.model = sources, model
        self.steps_per_epoch = steps_per_epoch
        self.writes = distribute.is_chief(strategy)
        self.verbose = verbose if self.writes else 0
        self.average: ExponentialMovingAverage | None = None
        if recipe.ema_decay:
            self.average = ExponentialMovingAverage(recipe.ema_decay, recipe.ema_warmup)
            self.average.set_model(model)
        self.state = TrainingState(model, self.average)
        self.checkpoints = Checkpoints(run.checkpoints, recipe.keep_checkpoints)
        self.best = Checkpoints(run.best, keep=1)
        self.history = History(run.history)

    def averaging(self) -> contextlib.AbstractContextManager:
        """A context in which the training steps move the average, if there is one."""
        if self.average and uses_tensorflow():
            return self.average.moving()
        return contextlib.nullcontext()  # on JAX it is a callback

    def run(self) -> TrainingResult:
        """Train from the current state of the run to its end."""
        if self.recipe.lora_rank or self.recipe.frozen_backbone:
            self._say(trained_share(self.model))
        step, logs = self._restore()
        self.stop = InterruptOnSignal(self._any_worker())
        save = SaveCheckpoints(
            self.checkpoints,
            self.state,
            self.recipe.checkpoint_every,
            self.steps_per_epoch,
            step,
            logs,
            self.writes,
        )
        with self.stop.listening():
            try:
                self._fit(step, logs, save)
            except TrainingInterrupted as stopped:
                save.save()
                raise TrainingInterrupted(
                    stopped.signal,
                    f"{stopped} after step {save.step}, which is saved. Run the same "
                    "command to resume.",
                ) from None
            except FloatingPointError as error:
                self._keep_last_good(error)
        save.save()
        return self._finish()

    def _restore(self):
        """Restore the newest checkpoint; return its step and metrics."""
        newest = self.checkpoints.newest()
        step = newest.state["step"] if newest else 0
        distribute.check_agreement(
            self.strategy,
            step,
            "the step of the newest checkpoint",
            "All workers must share the run directory.",
        )
        if newest is None:
            return 0, {}
        self.state.restore(newest.tensors)
        self._say(f"Resuming after step {step}, from {newest.path}.")
        return step, newest.state["logs"]

    def _fit(self, step, logs, save):
        recipe = self.recipe
        evaluate = self.task.evaluator(
            recipe, self.model, self.sources.validation, self.strategy
        )
        evaluate = functools.partial(evaluate, [self.stop], int(self.verbose == 1))
        evaluation = Evaluation(evaluate, self.average)
        history = WriteHistory(
            self.history,
            learning_rates(recipe, self.steps_per_epoch),
            self.steps_per_epoch,
        )
        best = KeepBest(
            self.best,
            self.state,
            self.steps_per_epoch,
            recipe.patience,
            self.writes,
            self.task.metric,
        )
        best.set_model(self.model)
        callbacks = [
            save,
            self.stop,
            evaluation,
            best,
            Progress(
                recipe.epochs,
                self.steps_per_epoch,
                recipe.batch_size,
                step,
                self.verbose,
            ),
        ]
        if self.average and not uses_tensorflow():
            callbacks.insert(0, self.average)
        if self.writes:
            callbacks.append(history)
        if self.writes and importlib.util.find_spec("tensorboard"):
            callbacks.append(keras.callbacks.TensorBoard(self.directory.tensorboard))
        epoch, done = divmod(step, self.steps_per_epoch)
        if step and not done and len(self.history.rows()) < epoch:
            # The run was interrupted before the evaluation of an epoch.
            evaluation.on_epoch_end(epoch - 1, logs)
            best.on_epoch_end(epoch - 1, logs)
            if self.writes:
                history.on_epoch_end(epoch - 1, logs)
        if done:
            # The rest of an epoch: `fit` needs epochs of equal length.
            with self._dividing_executions(self.steps_per_epoch - done):
                self._fit_epochs(epoch, epoch + 1, step, callbacks)
            epoch += 1
        if not best.ends_after(epoch):
            first_step = epoch * self.steps_per_epoch
            self._fit_epochs(epoch, recipe.epochs, first_step, callbacks)

    @contextlib.contextmanager
    def _dividing_executions(self, steps):
        """Execute single steps if `steps_per_execution` does not divide a rest."""
        model, several = self.model, self.model.steps_per_execution
        if steps % several == 0:
            yield
            return
        model.steps_per_execution = 1
        model.make_train_function(force=True)
        yield
        model.steps_per_execution = several
        model.make_train_function(force=True)

    def _fit_epochs(self, first, end, step, callbacks):
        if first == end:
            return
        steps = min(self.steps_per_epoch, end * self.steps_per_epoch - step)
        data = distribute.distribute_dataset(
            self.strategy,
            lambda worker, workers, replicas: self.task.batches(
                self.recipe,
                self.sources.train,
                epochs=end,
                first_step=step,
                worker=worker,
                workers=workers,
                replicas=replicas,
            ),
        )
        self.model.fit(
            data,
            initial_epoch=first,
            epochs=end,
            steps_per_epoch=steps,
            callbacks=CallbacksWithoutWaiting(
                callbacks, add_history=True, model=self.model, epochs=end, steps=steps
            ),
            shuffle=False,  # the dataset is shuffled
            verbose=0,
        )

    def _keep_last_good(self, error):
        """End a training whose loss or weights are no longer finite."""
        kept = "There is no earlier checkpoint."
        newest = self.checkpoints.newest()
        if newest:
            self.state.restore(newest.tensors)
            self._save_model()
            step = newest.state["step"]
            kept = f"The weights of step {step} are in {self.directory.model}."
        raise FloatingPointError(
            f"The training diverged: {error}. {kept} Start again in another "
            "directory, with a lower learning_rate, a longer warm-up or a clip_norm."
        ) from error

    def _finish(self):
        best = None
        if self.recipe.keep == "best":
            distribute.barrier(self.strategy)  # until the chief has written it
            best = self.best.newest()
        if best:
            self.state.restore(best.tensors)
            epoch, value = best.state["epoch"], best.state[self.task.metric]
            name = self.task.metric.replace("_", " ")
            self._say(f"The best epoch was {epoch}, with {name} {value:.4f}.")
        if self.average:
            self.average.copy_to_model()
        self._save_model()
        corrupt = len(self.sources.train.corrupt) + len(self.sources.validation.corrupt)
        if corrupt:
            self._say(f"{corrupt} images could not be decoded and were skipped.")
        rows = self.history.rows()
        return TrainingResult(self.model, rows)

    def _save_model(self):
        if self.writes:
            with atomic_write(self.directory.model) as unfinished:
                self.model.save(unfinished)

    def _any_worker(self):
        if distribute.worker_count(self.strategy) == 1:
            return None
        return functools.partial(distribute.any_worker, self.strategy)

    def _say(self, text):
        if self.verbose:
            print(text)
