"""Recipes: a record that cannot change, and the demo's."""

import dataclasses
import inspect
import json

import pytest

import keras_tnt
from keras_tnt.training import Recipe, fashion_mnist_demo


def test_a_recipe_does_not_change():
    recipe = fashion_mnist_demo()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.epochs = 3
    assert dataclasses.replace(recipe, epochs=3) != recipe
    assert fashion_mnist_demo() == recipe


def test_a_recipe_survives_json():
    recipe = fashion_mnist_demo()
    record = json.loads(json.dumps(dataclasses.asdict(recipe)))
    assert Recipe(**record) == recipe


def test_every_setting_is_documented():
    for field in dataclasses.fields(Recipe):
        assert f"\n    {field.name}: " in inspect.getdoc(Recipe)


def test_the_warmup_must_leave_epochs_for_the_cosine():
    recipe = fashion_mnist_demo()
    for epochs in (-1, 0, 1):
        with pytest.raises(ValueError, match=f"more than the 1 .*, got {epochs}"):
            dataclasses.replace(recipe, epochs=epochs)
    assert dataclasses.replace(recipe, epochs=1, warmup_epochs=0).epochs == 1


def test_the_demo_is_a_small_tnt_for_gray_pictures():
    model = keras_tnt.TNT(**fashion_mnist_demo().model)
    assert model.input_shape == (None, 28, 28, 1)
    assert model.output_shape == (None, 10)
    assert model.count_params() < 1_000_000
