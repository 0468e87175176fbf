"""Faults that `keras_tnt.compat.quantization` works around."""

import contextlib
import gc

import keras
import pytest

from keras_tnt.compat.quantization import freeze_garbage_collector
from keras_tnt.export.precision import in_int8


@pytest.fixture(autouse=True)
def _nothing_frozen():
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    yield
    (gc.freeze if frozen else gc.unfreeze)()


@contextlib.contextmanager
def full_collections():
    """The number of frozen objects at each full collection inside the context."""
    found = []

    def note(phase, info):
        if phase == "start" and info["generation"] == 2:
            found.append(gc.get_freeze_count())

    gc.callbacks.append(note)
    try:
        yield found
    finally:
        gc.callbacks.remove(note)


@pytest.fixture
def model():
    layers = [keras.layers.Dense(2) for _ in range(2)]
    head = keras.layers.Dense(3, "softmax")
    return keras.Sequential([keras.Input((4,)), *layers, head])


def test_freeze_garbage_collector__still_present(model):
    with full_collections() as found:
        for layer in model.layers:
            layer.quantize("int8")
    assert len(found) >= len(model.layers), (
        "Keras does not collect garbage for every Dense: "
        "remove keras_tnt.compat.quantization.freeze_garbage_collector"
    )


def test_freeze_garbage_collector__leaves_nothing_frozen():
    objects = len(gc.get_objects())
    with freeze_garbage_collector():
        assert gc.get_freeze_count() > objects / 2
    assert gc.get_freeze_count() == 0
    with pytest.raises(ValueError, match="stop"), freeze_garbage_collector():
        raise ValueError("stop")
    assert gc.get_freeze_count() == 0


def test_freeze_garbage_collector__keeps_what_was_frozen():
    gc.freeze()
    later = []  # not frozen, so the collector tracks it
    with freeze_garbage_collector():
        assert gc.get_freeze_count()
        assert any(tracked is later for tracked in gc.get_objects())
    assert gc.get_freeze_count()


def test_in_int8__collects_no_old_objects(model):
    objects = len(gc.get_objects())
    with full_collections() as found:
        in_int8(model)
    # Not for the head, which stays as it is.
    assert sum(frozen > objects / 2 for frozen in found) >= len(model.layers) - 1
    assert gc.get_freeze_count() == 0
