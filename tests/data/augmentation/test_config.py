"""The record of what is done to training images."""

import dataclasses
import json

import pytest

from keras_tnt.data import (
    FINETUNE_AUGMENTATION,
    FLIP_AUGMENTATION,
    IMAGENET_AUGMENTATION,
    Augmentation,
)


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(),
        Augmentation(three_augment=True, color_jitter=0.3),
        FINETUNE_AUGMENTATION,
        FLIP_AUGMENTATION,
        IMAGENET_AUGMENTATION,
    ],
)
def test_config__json_round_trip(augmentation):
    text = json.dumps(dataclasses.asdict(augmentation))
    assert Augmentation(**json.loads(text)) == augmentation


def test_config__published_recipe():
    recipe = IMAGENET_AUGMENTATION
    assert recipe.crop_scale == (0.08, 1.0)
    assert recipe.crop_ratio == (3 / 4, 4 / 3)
    assert (recipe.flip, recipe.random_erasing, recipe.repeats) == (0.5, 0.25, 3)
    assert (recipe.mixup, recipe.cutmix) == (0.8, 1.0)
    assert (recipe.mix_probability, recipe.switch_probability) == (1.0, 0.5)
    assert (recipe.rand_augment, recipe.rand_augment_magnitude) == (2, 9)
    assert (recipe.rand_augment_std, recipe.rand_augment_policy) == (0.5, "official")
    assert recipe.interpolation == "random"
    assert (recipe.mix_mode, recipe.mix_group_size) == ("batch", 128)
    assert recipe.mix_off_epoch == 0
    assert recipe.mixes
    assert not FLIP_AUGMENTATION.mixes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crop_scale": (0.5, 1.2)}, "crop_scale must not exceed 1"),
        ({"crop_scale": 0.5}, "crop_scale must be a pair"),
        ({"crop_scale": (0.8, 0.5)}, "crop_scale must be a pair"),
        ({"crop_ratio": (0, 1)}, "crop_ratio must be a pair .* over 0"),
        ({"flip": 1.5}, "flip must be a probability, 0 to 1, got 1.5"),
        ({"mix_probability": float("nan")}, "mix_probability must be a probability"),
        ({"flip": "often"}, "flip must be a probability, 0 to 1, got 'often'"),
        ({"mixup": None}, "mixup must be at least 0, got None"),
        ({"rand_augment_magnitude": "9"}, "rand_augment_magnitude must be from 0"),
        ({"cutmix": -1}, "cutmix must be at least 0, got -1"),
        ({"rand_augment": 0.5}, "rand_augment must be from 0 to 15"),
        ({"rand_augment_magnitude": 11}, "rand_augment_magnitude must be from 0 to 10"),
        ({"repeats": 4}, "repeats must be 1, 2 or 3, got 4"),
        ({"mix_mode": "image"}, "mix_mode must be one of .*'image'"),
        ({"mix_group_size": 0}, "mix_group_size must be a whole number of at least 1"),
        ({"mix_group_size": 8.0}, "mix_group_size must be a whole number"),
        ({"mix_off_epoch": -1}, "mix_off_epoch must be a whole number of at least 0"),
        ({"interpolation": "area"}, "interpolation must be one of .*'area'"),
        ({"rand_augment_policy": "timm"}, "rand_augment_policy must be one of"),
        ({"color_jitter": -0.1}, "color_jitter must be at least 0, got -0.1"),
        ({"color_jitter": float("inf")}, "color_jitter must be at least 0"),
        ({"three_augment": 1}, "three_augment must be True or False, got 1"),
        (
            {"three_augment": True, "rand_augment": 2},
            "three_augment=True cannot be used beside RandAugment. Set rand_augment=0",
        ),
        (
            {"color_jitter": 0.3, "rand_augment": 1, "rand_augment_policy": "keras_cv"},
            "color_jitter=0.3 cannot be used beside RandAugment",
        ),
    ],
)
def test_config__invalid_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**arguments)


def test_group_size__divides_the_batch():
    assert IMAGENET_AUGMENTATION.group_size(1024) == 128
    assert IMAGENET_AUGMENTATION.group_size(50) == 50
    assert FLIP_AUGMENTATION.group_size(50) == 1
    with pytest.raises(ValueError, match="batch_size=192 cannot be divided"):
        IMAGENET_AUGMENTATION.group_size(192)
