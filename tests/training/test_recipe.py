"""Recipes: a record that cannot change, and the demo's."""

import dataclasses
import inspect
import json
import math

import pytest

from keras_tnt.training import (
    Recipe,
    fashion_mnist_demo,
    tnt_small_finetune_384,
    tnt_small_imagenet,
)
from keras_tnt.training.builders import build_model
from keras_tnt.training.recipes import RECIPES


def test_recipe__frozen():
    recipe = fashion_mnist_demo()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.epochs = 3
    assert dataclasses.replace(recipe, epochs=3) != recipe
    assert fashion_mnist_demo() == recipe


def test_recipe__json_round_trip():
    recipe = fashion_mnist_demo()
    record = json.loads(json.dumps(dataclasses.asdict(recipe)))
    assert Recipe.from_dict(record) == recipe


def test_recipe__every_field_documented():
    for field in dataclasses.fields(Recipe):
        assert f"\n    {field.name}: " in inspect.getdoc(Recipe)


@pytest.mark.parametrize(
    ("epochs", "asked", "warmup"), [(1, 1, 0), (2, 5, 1), (10, 20, 5), (3, 2, 2)]
)
def test_recipe__warmup_shortened(epochs, asked, warmup, caplog):
    recipe = dataclasses.replace(
        fashion_mnist_demo(), epochs=epochs, warmup_epochs=asked
    )
    assert recipe.warmup_epochs == warmup
    said = f"The warm-up is shortened from {asked} to {warmup} epochs"
    assert (said in caplog.text) == (asked != warmup)


@pytest.mark.parametrize(
    ("epochs", "warmup", "cooldown", "left"),
    [(310, 5, 10, 10), (16, 5, 10, 10), (15, 5, 10, 0), (4, 5, 10, 0), (1, 0, 1, 0)],
)
def test_recipe__cooldown_left_out(epochs, warmup, cooldown, left, caplog):
    recipe = dataclasses.replace(
        fashion_mnist_demo(),
        epochs=epochs,
        warmup_epochs=warmup,
        cooldown_epochs=cooldown,
    )
    assert recipe.cooldown_epochs == left
    assert recipe.warmup_epochs == min(warmup, epochs // 2)
    said = f"There is no cool-down of {cooldown} epochs, because the training has"
    assert (said in caplog.text) == (left == 0)


def test_fashion_mnist_demo__model():
    model = build_model(fashion_mnist_demo(), 10)
    assert model.input_shape == (None, 28, 28, 1)
    assert model.output_shape == (None, 10)
    assert model.count_params() < 1_000_000


def test_tnt_small_finetune_384__docstring_names_what_is_not_the_papers():
    """The paper fine-tunes with the settings of the pre-training (section 3.5)."""
    ours = {
        "epochs": "30 epochs",
        "batch_size": "512 images",
        "reference_batch_size": "512 images",
        "weight_decay": "1e-8",
        "learning_rate": "5e-5",
        "warmup_epochs": "3 epochs of warm-up",
        "final_learning_rate": "1e-6",
        "augmentation": "no repeated augmentation, no random erasing",
        "ema_decay": "no moving average",
        "crop_fraction": "whole images",
        "schedule": "by step",
        "cooldown_epochs": "without a cool-down",
        "keep": "the weights of the last epoch",
    }
    recipe, pretraining = tnt_small_finetune_384(), tnt_small_imagenet()
    differing = {
        field.name
        for field in dataclasses.fields(Recipe)
        if getattr(recipe, field.name) != getattr(pretraining, field.name)
    }
    of_the_task = {"data", "image_size", "validation_split", "weights"}
    assert differing - of_the_task == ours.keys()
    text = " ".join(inspect.getdoc(tnt_small_finetune_384).split())
    source, choices = text.split("are choices of")
    for said in ("section 3.5", "64 epochs on CIFAR-10", "300 on Flowers"):
        assert said in source
    for name, said in ours.items():
        assert said in choices, name


@pytest.mark.parametrize("name", RECIPES)
def test_recipes__json_round_trip(name):
    recipe = RECIPES[name]()
    assert (
        Recipe.from_dict(json.loads(json.dumps(dataclasses.asdict(recipe)))) == recipe
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", "ten", "epochs must be int, got 'ten'"),
        ("epochs", 1.5, "epochs must be int, got 1.5"),
        ("epochs", True, "epochs must be int, got True"),
        ("learning_rate", None, "learning_rate must be float, got None"),
        ("image_size", "large", "image_size must be int or tuple"),
        ("remat", 1, "remat must be bool, got 1"),
        ("augmentation", {}, "augmentation must be Augmentation"),
        ("batch_size", 0, "batch_size must be at least 1, got 0"),
        ("checkpoint_every", -1, "checkpoint_every must be at least 1"),
        ("epochs", 0, "epochs must be at least 1, got 0"),
        ("epochs", -1, "epochs must be at least 1, got -1"),
        ("warmup_epochs", -1, "warmup_epochs must be at least 0"),
        ("label_smoothing", 1.1, "label_smoothing must be from 0 to 1"),
        ("learning_rate", 0, "learning_rate must be more than 0 and finite, got 0.0"),
        ("learning_rate", -1.0, "learning_rate must be more than 0"),
        ("learning_rate", math.inf, "learning_rate must be more than 0 and finite"),
        ("learning_rate", math.nan, "learning_rate must be more than 0 and finite"),
        ("cooldown_epochs", -1, "cooldown_epochs must be at least 0"),
        ("keep", "first", "keep must be one of last, best, got 'first'"),
        ("patience", 0, "patience must be at least 1, got 0"),
        ("schedule", "cosine", "schedule must be one of step, epoch, got 'cosine'"),
        ("warmup_learning_rate", -1e-6, "warmup_learning_rate must be at least 0"),
        ("final_learning_rate", -1e-6, "final_learning_rate must be at least 0"),
        ("reference_batch_size", 0, "reference_batch_size must be at least 1, got 0"),
        ("weight_decay", -0.1, "weight_decay must be at least 0"),
        ("weight_decay", math.nan, "weight_decay must be at least 0"),
        ("clip_norm", 0, "clip_norm must be more than 0"),
        ("clip_norm", -1.0, "clip_norm must be more than 0"),
        ("layer_decay", 0, "layer_decay must be more than 0 and at most 1"),
        ("ema_decay", 1, "ema_decay must be at least 0 and less than 1, got 1.0"),
        ("crop_fraction", 0, "crop_fraction must be more than 0 and at most 1"),
        ("image_size", 0, "image_size must be a side or a height and a width"),
        ("image_size", (28,), "image_size must be a side or a height and a width"),
        ("image_size", (28, 1.5), "image_size must be a side or a height and a width"),
        ("seed", -1, "seed must be from 0 to"),
        ("channels", 4, "channels must be 1 or 3, got 4"),
        ("loss", "hinge", "loss must be one of categorical_crossentropy, binary_cross"),
        ("target_threshold", 1.0, "target_threshold must be at least 0 and less than"),
        ("target_threshold", 0.2, "target_threshold=0.2 has no effect with loss=cat"),
        ("lora_rank", 0, "lora_rank must be at least 1, got 0"),
        ("lora_rank", 8, "lora_rank=8 would freeze random weights. Set weights"),
        ("teacher", 3, "teacher must be str or null, got 3"),
        ("distillation", "none", "distillation must be one of hard, soft, got 'none'"),
        ("distillation_alpha", 1.1, "distillation_alpha must be from 0 to 1, got 1.1"),
        ("distillation_temperature", 0, "distillation_temperature must be more than 0"),
        ("precision", "int8", "precision must be one of auto, float32"),
    ],
)
def test_recipe__invalid_values(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(fashion_mnist_demo(), **{field: value})


def test_recipe__lora_with_frozen_backbone():
    with pytest.raises(ValueError, match="no effect with frozen_backbone"):
        dataclasses.replace(tnt_small_finetune_384(), lora_rank=8, frozen_backbone=True)


def test_recipe__types_from_json():
    recipe = dataclasses.replace(
        fashion_mnist_demo(), image_size=[28, 56], learning_rate=1, clip_norm=2
    )
    assert recipe.image_size == (28, 56)
    assert (type(recipe.learning_rate), type(recipe.clip_norm)) == (float, float)


@pytest.mark.parametrize("name", ["tnt_small_imagenet", "pyramid_tnt_small_imagenet"])
def test_recipes__published_settings(name):
    recipe = RECIPES[name]()
    assert (recipe.ema_decay, recipe.ema_warmup) == (0.99996, False)
    assert recipe.clip_norm is None
    assert (recipe.epochs, recipe.cooldown_epochs) == (310, 10)
    assert (recipe.keep, recipe.patience) == ("best", None)


def test_recipe__learning_rate_scaling():
    recipe = dataclasses.replace(tnt_small_imagenet(), batch_size=256)
    assert recipe.learning_rate_factor == 0.25
    recipe = dataclasses.replace(recipe, reference_batch_size=None)
    assert recipe.learning_rate_factor == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classifier_activation", None),
        ("classifier_activation", "sigmoid"),
        ("include_top", False),
        ("include_preprocessing", False),
    ],
)
def test_build_model__options_that_the_loss_and_the_pipeline_cannot_use(name, value):
    recipe = fashion_mnist_demo()
    recipe = dataclasses.replace(
        recipe, model_options=recipe.model_options | {name: value}
    )
    message = f"{name} must be .*, got {value!r}. Remove it from model_options"
    with pytest.raises(ValueError, match=message):
        build_model(recipe, 10)


def test_build_model__what_keras_refuses_is_an_error_of_the_recipe():
    recipe = fashion_mnist_demo()
    options = recipe.model_options | {"dropout_rate": 2.0}
    recipe = dataclasses.replace(recipe, model_options=options)
    with pytest.raises(ValueError, match=r"Cannot build TNT: .*2\.0"):
        build_model(recipe, 10)
