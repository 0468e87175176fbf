"""`keras-tnt train`: every field is an option, the run is repeated from its recipe."""

import dataclasses
import json

import pytest

from keras_tnt.cli import _parser, main
from keras_tnt.cli.train import override, recipe_of_task
from keras_tnt.data import Augmentation
from keras_tnt.training import Recipe, RunDirectory, transfer_pets
from keras_tnt.training.recipes import RECIPES
from tests.helpers.toy import OPTIONS

TOY = [
    "train",
    "--recipe=fashion_mnist_demo",
    f"--model-options={json.dumps(OPTIONS | {'depth': 1})}",
    "--train-split=train[:1%]",
    "--validation-split=test[:2%]",
    "--epochs=1",
    "--warmup-epochs=0",
    "--batch-size=32",
    "--no-deterministic",
    "--mixup=0.2",
    "--crop-scale=[0.5, 1]",
    "--color-jitter=0.3",
    "--loss=binary_crossentropy",
    "--target-threshold=0.2",
]


@pytest.mark.slow
def test_train__repetition(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(TOY) == 0
    run = RunDirectory("runs/fashion_mnist_demo")
    output = capsys.readouterr().out
    assert "Epoch 1: accuracy 0." in output
    for path, what in run.contents():
        assert str(path) in output
        assert what in output
    recipe, _ = run.read_recipe()
    assert (recipe.batch_size, recipe.model_options["depth"]) == (32, 1)
    assert recipe.augmentation == Augmentation(
        flip=0.5, mixup=0.2, crop_scale=(0.5, 1.0), color_jitter=0.3
    )
    assert (recipe.loss, recipe.target_threshold) == ("binary_crossentropy", 0.2)

    assert main(["train", "--recipe", str(run.recipe)]) == 0
    repeated = RunDirectory("runs/fashion_mnist_demo-repeat")
    assert repeated.read_recipe()[0] == recipe
    assert repeated.model.exists()


def test_train__option_for_every_field(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out
    for record in (Recipe, Augmentation):
        for field in dataclasses.fields(record):
            if field.name != "augmentation":
                assert f"--{field.name.replace('_', '-')}" in text, field.name


def test_override__null_is_a_value():
    options = _parser().parse_args(["train", "--recipe=transfer_pets", "--weights=null",
                                    "--reference-batch-size=null", "--crop-scale=null",
                                    "--no-cache"])  # fmt: skip
    recipe = override(transfer_pets(), options)
    assert (recipe.weights, recipe.reference_batch_size) == (None, None)
    assert recipe.augmentation.crop_scale is None
    given = {"weights": "imagenet", "reference_batch_size": 128}
    given["augmentation"] = transfer_pets().augmentation
    assert dataclasses.replace(recipe, **given) == transfer_pets()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ["--recipe=imagenet"],
            "Unknown recipe 'imagenet'. Expected tnt_small_imagenet",
        ),
        (["--epochs=many"], "epochs must be int, got 'many'"),
        (["--flip=2"], "flip must be a probability, 0 to 1, got 2"),
        (["--target-threshold=0"], "would make all 10 classes of every image right"),
        (["--strategy=both"], "Unknown strategy 'both'. Expected one of auto"),
    ],
)
def test_train__user_errors(change, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*TOY, *change]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_train__task_without_recipe(task, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recipe = RECIPES[recipe_of_task(task)]()
    assert recipe.task == task
    assert main(["train", "--task", task, "--data", "none", "--weights=null"]) == 1
    said = capsys.readouterr().err
    assert "none" in said
    assert "--recipe" not in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("task", [[], ["--task=classification"], ["--task=null"]])
def test_train__neither_recipe_nor_task(task, capsys):
    assert main(["train", "--data=images", *task]) == 1
    assert (
        "There is no --recipe. Expected tnt_small_imagenet" in capsys.readouterr().err
    )


def test_train__unknown_option(capsys):
    with pytest.raises(SystemExit):
        main([*TOY, "--epoch-count=3"])
    assert "unrecognized arguments: --epoch-count=3" in capsys.readouterr().err


def test_train__unknown_field_in_recipe_file(tmp_path, capsys):
    path = tmp_path / "recipe.json"
    path.write_text('{"recipe": {"epoch": 3}, "class_names": []}')
    assert main(["train", "--recipe", str(path)]) == 1
    assert "Unknown field 'epoch' of Recipe. Did you mean 'epochs'?" in (
        capsys.readouterr().err
    )
