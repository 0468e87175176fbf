"""The recipes of the paper's transfer experiments (section 3.5, Tables 2 and 9)."""

import dataclasses
import inspect
import math

import numpy as np
import pytest

from keras_tnt.cli import main
from keras_tnt.data.bundled import import_tfds
from keras_tnt.training import (
    Recipe,
    RunDirectory,
    tnt_small_imagenet,
    transfer_cifar10,
)
from keras_tnt.training.builders import Sources, learning_rates
from keras_tnt.training.recipes import RECIPES
from tests.helpers.datasets import photo
from tests.helpers.inaturalist import write_inaturalist

# Epochs, training images, splits, and the figures of TNT-S and TNT-B.
PAPER = {
    "transfer_cifar10": (64, 50_000, "train", "test", "98.7", "99.1"),
    "transfer_cifar100": (64, 50_000, "train", "test", "90.1", "91.1"),
    "transfer_flowers": (300, 2040, "train+validation", "test", "98.8", "99.0"),
    "transfer_pets": (300, 3680, "train", "test", "94.7", "95.0"),
    "transfer_inaturalist2019": (
        *(300, 265_213, "train", "validation", "81.4", "83.2"),
    ),
}
TFDS = {
    "transfer_cifar10": ("cifar10", 10),
    "transfer_cifar100": ("cifar100", 100),
    "transfer_flowers": ("oxford_flowers102", 102),
    "transfer_pets": ("oxford_iiit_pet", 37),
}
# What is not as in the pre-training, and where the docstring says why.
CHANGED = {
    "image_size": "384x384",
    "epochs": "64 epochs",
    "learning_rate": "a learning rate of 5e-5",
    "batch_size": "128 images a step",
    "reference_batch_size": "scale linearly",
    "augmentation": "each 16 images",
    "cooldown_epochs": "No cool-down",
    "ema_decay": "A decay of the moving average",
}
OF_THE_TASK = {"data", "train_split", "validation_split", "weights"}


@pytest.mark.parametrize("name", PAPER)
def test_transfer_recipes__settings_of_the_paper(name):
    epochs, images, train_split, validation_split, *figures = PAPER[name]
    recipe, pretraining = RECIPES[name](), tnt_small_imagenet()
    assert (recipe.epochs, recipe.image_size) == (epochs, 384)
    assert (recipe.train_split, recipe.validation_split) == (
        train_split,
        validation_split,
    )
    assert (recipe.model, recipe.weights) == ("TNTSmall", "imagenet")
    if name in TFDS:
        assert recipe.data == TFDS[name][0]
    summary = inspect.getdoc(RECIPES[name]).partition("\n")[0]
    assert f"TNT-S on {summary.split(' on ')[1]}" in summary
    assert f"{figures[0]} % in the paper, TNT-B {figures[1]} %" in summary

    differing = {
        field.name
        for field in dataclasses.fields(Recipe)
        if getattr(recipe, field.name) != getattr(pretraining, field.name)
    }
    assert differing - OF_THE_TASK == CHANGED.keys()
    as_published = dataclasses.replace(recipe.augmentation, mix_group_size=128)
    assert as_published == pretraining.augmentation
    assert recipe.learning_rate_factor == 1

    # The initial weights leave the average as in the pre-training.
    steps = epochs * (images // recipe.batch_size)
    remaining = math.log(recipe.ema_decay) * steps
    assert remaining == pytest.approx(math.log(0.99996) * 310 * 1251, rel=0.02)


def test_transfer_cifar10__docstring_says_which_choices_are_ours():
    source, choices = inspect.getdoc(transfer_cifar10).split("choices of this package")
    source, choices = (" ".join(text.split()) for text in (source, choices))
    for said in ("section 3.5", "all its augmentation", "for 300", "issue 76"):
        assert said in source
    papers_or_authors = {"image_size", "epochs", "learning_rate", "augmentation"}
    for name, said in CHANGED.items():
        assert said in (source if name in papers_or_authors else choices), name


@pytest.mark.parametrize(("name", "steps"), [("transfer_cifar10", 390),
                                             ("transfer_flowers", 15)])  # fmt: skip
def test_transfer_recipes__learning_rates(name, steps):
    recipe = RECIPES[name]()
    epochs = recipe.epochs
    warmup = [1e-6 + t * (5e-5 - 1e-6) / 5 for t in range(5)]
    cosine = [
        1e-5 + (5e-5 - 1e-5) * (1 + math.cos(math.pi * t / epochs)) / 2
        for t in range(5, epochs)
    ]
    first = steps * np.arange(epochs)
    for step in (first, first + steps - 1):
        rates = learning_rates(recipe, steps)(step)
        np.testing.assert_allclose(rates, warmup + cosine, rtol=1e-5)


def prepare(data_dir, name, sizes):
    """Write a tfds data set with its own features: so many images of each split."""
    tfds = import_tfds()
    builder = tfds.builder(name, data_dir=data_dir)
    values = {
        tfds.features.Image: photo(32, 32),
        tfds.features.Text: "0001",
        tfds.features.BBoxFeature: tfds.features.BBox(0.1, 0.1, 0.9, 0.9),
    }
    features = builder.info.features
    example = {key: values.get(type(features[key]), 1) for key in features}
    if "segmentation_mask" in example:
        example["segmentation_mask"] = photo(32, 32, 1)

    def examples(size):
        yield from ((number, example | {"label": number}) for number in range(size))

    splits = {split: examples(size) for split, size in sizes.items()}
    builder._split_generators = lambda *arguments: splits
    builder.download_and_prepare()


@pytest.fixture
def with_data(tmp_path, monkeypatch):
    """A function that writes the data of a recipe and returns its directory."""

    def write(name):
        if name == "transfer_inaturalist2019":
            write_inaturalist(tmp_path / "inaturalist2019")
            monkeypatch.chdir(tmp_path)  # where the recipe finds them
        elif name == "transfer_flowers":
            prepare(tmp_path, TFDS[name][0], {"train": 3, "validation": 1, "test": 2})
        else:
            prepare(tmp_path, TFDS[name][0], {"train": 4, "test": 2})
        return tmp_path

    return write


@pytest.mark.parametrize("name", PAPER)
def test_transfer_recipes__open_their_data(name, with_data):
    recipe = dataclasses.replace(RECIPES[name](), data_dir=str(with_data(name)))
    train, validation = Sources.open(recipe)
    _, classes = TFDS.get(name, (None, 3))
    assert len(train.class_names) == len(validation.class_names) == classes
    assert (len(train), len(validation)) == (4, 2)
    labels = sorted(int(train.fetch(index)[1]) for index in range(4))
    joined = {
        "transfer_flowers": [0, 0, 1, 2],
        "transfer_inaturalist2019": [0, 0, 1, 2],
    }
    assert labels == joined.get(name, [0, 1, 2, 3])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "transfer_flowers",
        "transfer_cifar10",
        "transfer_cifar100",
        "transfer_pets",
        "transfer_inaturalist2019",
    ],
)
def test_transfer_recipes__train(name, with_data, capsys):
    """By the command, scaled down to two steps of two images."""
    directory = with_data(name)
    small = '{"outer_dim": 48, "inner_dim": 12, "depth": 1, "outer_num_heads": 3}'
    command = f"train --recipe {name} --data-dir {directory} --out {directory}/run"
    command += " --model TNT --weights null --image-size 32 --epochs 1 --batch-size 2"
    command += f" --warmup-epochs 0 --train-split {RECIPES[name]().train_split}"
    assert main([*command.split(), "--model-options", small]) == 0
    assert "Epoch 1: accuracy" in capsys.readouterr().out
    run = RunDirectory(directory / "run")
    recipe, _ = run.read_recipe()
    assert recipe.augmentation == RECIPES[name]().augmentation
    assert recipe.weights is None
    assert run.model.exists()
