"""Learning rates by step and by epoch."""

import dataclasses
import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_tnt.training import AdamW, fashion_mnist_demo
from keras_tnt.training.builders import compile_model, learning_rates
from keras_tnt.training.recipes import RECIPES
from keras_tnt.training.schedules import RatePerEpoch, published_rates, warmup_cosine


def learning_rate(step, peak, final, warmup_steps, total_steps):
    """The schedule in so many words."""
    if step < warmup_steps:
        return peak * step / warmup_steps
    progress = min(1, (step - warmup_steps) / (total_steps - warmup_steps))
    return final + (peak - final) * (1 + math.cos(math.pi * progress)) / 2


@settings(deadline=None)
@given(
    peak=st.floats(1e-6, 10),
    share=st.floats(0, 1),
    warmup_steps=st.integers(0, 5000),
    cosine_steps=st.integers(1, 50_000),
    data=st.data(),
)
def test_warmup_cosine__values(peak, share, warmup_steps, cosine_steps, data):
    total_steps = warmup_steps + cosine_steps
    settings_ = (peak, peak * share, warmup_steps, total_steps)
    schedule = warmup_cosine(*settings_)
    some = data.draw(st.integers(0, 2 * total_steps))
    for step in (0, warmup_steps, total_steps, total_steps + 1, some):
        expected = learning_rate(step, *settings_)
        # The cosine is taken in float32.
        assert float(schedule(step)) == pytest.approx(expected, abs=2e-6 * peak)
    same = type(schedule).from_config(schedule.get_config())
    assert float(same(some)) == float(schedule(some))


@pytest.mark.parametrize(("warmup_steps", "total_steps"), [(0, 0), (5, 5), (10, 5)])
def test_warmup_cosine__warmup_too_long(warmup_steps, total_steps):
    with pytest.raises(ValueError, match=f"{warmup_steps} steps must be shorter"):
        warmup_cosine(1e-3, 1e-5, warmup_steps, total_steps)


def published_rate(t, warmup):
    """The rate of an epoch in the published training, in so many words."""
    if t < warmup:
        return 1e-6 + t * (1e-3 - 1e-6) / warmup
    if t < 300:
        return 1e-5 + (1e-3 - 1e-5) * (1 + math.cos(math.pi * t / 300)) / 2
    return 1e-5


@pytest.mark.parametrize(
    ("name", "warmup"), [("tnt_small_imagenet", 5), ("pyramid_tnt_small_imagenet", 20)]
)
def test_learning_rates__published_values(name, warmup):
    recipe = RECIPES[name]()
    assert recipe.epochs == 310
    rates = learning_rates(recipe, steps_per_epoch=1251)
    table = [published_rate(t, warmup) for t in range(310)]
    first = 1251 * np.arange(310)
    for step in (first, first + 625, first + 1250):
        np.testing.assert_allclose(rates(step), table, rtol=1e-6)
    assert float(rates(310 * 1251)) == pytest.approx(1e-5)
    half = dataclasses.replace(recipe, batch_size=512)
    rates = learning_rates(half, steps_per_epoch=2502)
    assert float(rates(100 * 2502)) == pytest.approx(published_rate(100, warmup) / 2)


def test_learning_rates__by_step_with_cooldown():
    recipe = dataclasses.replace(
        fashion_mnist_demo(), epochs=12, warmup_epochs=1, cooldown_epochs=3
    )
    rates = learning_rates(recipe, steps_per_epoch=10)
    for step in range(120):
        expected = learning_rate(step, 4e-3, 4e-5, 10, 90)
        assert float(rates(step)) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("schedule", ["step", "epoch"])
def test_learning_rates__accumulated_batches_take_as_long(schedule):
    """Keras asks for the rate of a batch, not of an update."""
    recipe = dataclasses.replace(
        fashion_mnist_demo(), epochs=4, schedule=schedule, accumulation_steps=2
    )
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(10, "softmax")])
    compile_model(model, recipe, steps_per_epoch=6)
    rates = learning_rates(
        dataclasses.replace(recipe, accumulation_steps=1), steps_per_epoch=6
    )
    for step in range(24):
        expected = pytest.approx(float(rates(step)))
        assert float(model.optimizer.learning_rate) == expected
        gradients = [0 * variable for variable in model.trainable_variables]
        model.optimizer.apply(gradients, model.trainable_variables)


def test_rate_per_epoch__reload():
    rates = published_rates(1e-3, 1e-5, 2, 8, cooldown_epochs=2, start=1e-6)
    optimizer = AdamW(RatePerEpoch(rates, steps_per_epoch=7))
    config = keras.saving.serialize_keras_object(optimizer)
    fresh = keras.saving.deserialize_keras_object(config)
    fresh.build([keras.Variable([1.0])])
    for step in (0, 6, 7, 69, 70, 100):
        fresh.iterations.assign(step)
        expected = rates[min(step // 7, 9)]
        assert float(fresh.learning_rate) == pytest.approx(expected)
