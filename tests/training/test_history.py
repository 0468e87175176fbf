"""The history of a run, and how an interrupted epoch gets into it."""

import math

import pytest

from keras_tnt.training.callbacks import SaveCheckpoints
from keras_tnt.training.history import History
from keras_tnt.training.readings import STEPS_BETWEEN_READINGS


def test_history__round_trip(tmp_path):
    history = History(tmp_path / "history.csv")
    assert history.rows() == []
    rows = [
        {"epoch": 1, "loss": 0.1 + 0.2},
        {"epoch": 2, "loss": 1e-9, "val_loss": 3.5},
    ]
    for row in rows:
        history.write(row)
    first, second = history.rows()
    assert second == rows[1]
    assert math.isnan(first.pop("val_loss"))  # it had none
    assert first == rows[0]
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_history__repeated_epochs(tmp_path):
    history = History(tmp_path / "history.csv")
    for epoch in (1, 2, 3):
        history.write({"epoch": epoch, "loss": epoch / 10})
    history.write({"epoch": 2, "loss": 0.5})
    assert history.rows() == [{"epoch": 1, "loss": 0.1}, {"epoch": 2, "loss": 0.5}]


def run_epoch(callback, epoch, losses, first=0):
    """What Keras calls in an epoch of steps with these losses."""
    callback.on_epoch_begin(epoch)
    for batch in range(len(losses)):
        mean = sum(losses[: batch + 1]) / (batch + 1)
        callback.on_train_batch_end(batch, {"loss": mean})
    logs = {"loss": sum(losses) / len(losses)}
    callback.on_epoch_end(epoch, logs)
    return logs["loss"]


class Recorder:
    """Checkpoints that keep what they are given."""

    def __init__(self):
        self.saved = []

    def save(self, step, tensors, state):
        self.saved.append(state)


class NoState:
    def tensors(self):
        return {}


def test_history__epoch_in_two_parts():
    losses = [1.0, 2.0, 4.0, 8.0, 16.0]
    recorder = Recorder()
    whole = SaveCheckpoints(recorder, NoState(), 3, 5)
    assert run_epoch(whole, 0, losses) == pytest.approx(6.2)
    assert [state["step"] for state in recorder.saved] == [3]
    state = recorder.saved[0]
    assert state["logs"]["loss"] == pytest.approx(7 / 3)

    rest = SaveCheckpoints(Recorder(), NoState(), 3, 5, state["step"], state["logs"])
    assert run_epoch(rest, 0, losses[3:]) == pytest.approx(6.2)
    assert rest.step == 5
    assert run_epoch(rest, 1, losses) == pytest.approx(6.2)  # and the next is whole
    assert rest.step == 10
    rest.save()
    assert rest.checkpoints.saved[-1] == {"step": 10, "logs": {}}


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_history__loss_not_finite(loss):
    recorder = Recorder()
    callback = SaveCheckpoints(recorder, NoState(), 1, 5)
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(FloatingPointError, match="at step 2"):
        callback.on_train_batch_end(1, {"loss": loss})
    assert [state["step"] for state in recorder.saved] == [1]


@pytest.mark.parametrize("steps", [STEPS_BETWEEN_READINGS, 3])
def test_history__loss_not_finite_between_readings(steps):
    """It is found at the next reading, or at the end of the epoch."""
    callback = SaveCheckpoints(Recorder(), NoState(), 1000, steps)
    callback.on_epoch_begin(0)
    for batch in range(steps - 1):
        callback.on_train_batch_end(batch, {"loss": math.nan})

    def end_of_epoch():
        callback.on_train_batch_end(steps - 1, {"loss": math.nan})
        callback.on_epoch_end(0, {"loss": math.nan})

    with pytest.raises(FloatingPointError, match=f"at step {steps}"):
        end_of_epoch()


def test_history__interruption_between_readings():
    """The checkpoint has the metrics of its own step; with NaN there is none."""
    recorder = Recorder()
    callback = SaveCheckpoints(recorder, NoState(), 1000, 100)
    callback.on_epoch_begin(0)
    for batch, loss in enumerate([3.0, 2.0]):
        callback.on_train_batch_end(batch, {"loss": loss})
    callback.save()
    assert recorder.saved == [{"step": 2, "logs": {"loss": 2.0}}]
    callback.on_train_batch_end(2, {"loss": math.nan})
    with pytest.raises(FloatingPointError, match="at step 3"):
        callback.save()
    assert len(recorder.saved) == 1
