"""The state of a training: all of it, and back."""

import keras
import ml_dtypes  # noqa: F401 (registers bfloat16)
import numpy as np
import pytest

from keras_tnt.training import AdamW, ExponentialMovingAverage
from keras_tnt.training.state import TrainingState, first_not_finite
from tests.helpers.small import small

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 48, 3)).astype("uint8")
LABELS = np.arange(8) % 4


def training(seed=0):
    """A model with dropout, its optimizer and its average."""
    keras.utils.set_random_seed(seed)
    model = small(classes=4, dropout_rate=0.2, drop_path_rate=0.2)
    model.compile(AdamW(1e-2), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    average = ExponentialMovingAverage(0.9)
    average.set_model(model)
    return model, average, TrainingState(model, average)


def fit(model, average, steps):
    history = model.fit(
        IMAGES,
        LABELS,
        batch_size=8,
        epochs=steps,
        shuffle=False,
        verbose=0,
        callbacks=[average],
    )
    return history.history["loss"]


@pytest.mark.slow
def test_restore__continues_exactly():
    model, average, state = training()
    fit(model, average, 3)
    tensors = state.tensors()
    losses = fit(model, average, 3)
    other, other_average, other_state = training(seed=1)
    other_state.restore(tensors)
    assert fit(other, other_average, 3) == pytest.approx(losses, abs=1e-6)
    for name, tensor in state.tensors().items():
        np.testing.assert_allclose(
            other_state.tensors()[name], tensor, atol=1e-6, err_msg=name
        )


def test_state__content():
    model, _, state = training()
    tensors = state.tensors()
    weights = len(model.weights)
    trained = len(model.trainable_variables)
    seeds = [name for name in tensors if name.endswith("seed_generator_state")]
    assert len(seeds) >= 5  # of dropout and stochastic depth
    # Two moments a weight, the step, the learning rate.
    assert len(tensors) == weights + len(seeds) + 2 * trained + 2 + weights


def test_restore__other_training():
    _, _, state = training()
    model = small(classes=5)
    model.compile(AdamW(1e-2), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    other = TrainingState(model)
    before = other.tensors()
    with pytest.raises(ValueError, match="another model or optimizer"):
        other.restore(state.tensors())
    for name, tensor in other.tensors().items():
        np.testing.assert_array_equal(tensor, before[name])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_first_not_finite__in_every_precision(dtype):
    tensors = {"a": np.ones(3, dtype), "b": np.array([1, np.nan]).astype(dtype)}
    assert first_not_finite(tensors) == "b"


def test_first_not_finite__names_array():
    tensors = {"a": np.ones(3, "float32"), "b": np.ones(2, "uint32")}
    assert first_not_finite(tensors) is None
    tensors["c"] = np.array([1, np.inf], "float32")
    assert first_not_finite(tensors) == "c"
    tensors["c"][1] = np.nan
    assert first_not_finite(tensors) == "c"
