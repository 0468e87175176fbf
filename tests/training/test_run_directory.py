"""The directory of a run: made anew, written whole, read back as it was."""

import dataclasses
import os
import re

import keras
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_tnt.data import Augmentation
from keras_tnt.training import Recipe, RunDirectory, fashion_mnist_demo

NAMES = ["T-shirt/top", "Größe", "靴"]


def test_a_recipe_comes_back(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_recipe(fashion_mnist_demo(), tuple(NAMES))
    assert run.read_recipe() == (fashion_mnist_demo(), NAMES)
    assert os.listdir(tmp_path) == ["recipe.json"]
    text = run.recipe.read_text()
    assert keras.__version__ in text
    assert tf.__version__ in text


@settings(max_examples=30, deadline=None)
@given(
    recipe=st.builds(
        Recipe,
        model=st.text(),
        model_options=st.dictionaries(st.text(), st.integers() | st.text() | st.none()),
        data=st.text(),
        image_size=st.integers() | st.tuples(st.integers(), st.integers()),
        epochs=st.integers(11, 1000),
        batch_size=st.integers(1),
        learning_rate=st.floats(allow_nan=False),
        warmup_epochs=st.integers(0, 10),
        augmentation=st.builds(
            Augmentation, flip=st.floats(0, 1), mixup=st.floats(0, 10)
        ),
        label_smoothing=st.floats(0, 1),
        seed=st.integers(),
    ),
    names=st.lists(st.text()),
)
def test_any_recipe_comes_back(recipe, names, tmp_path_factory):
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    run.write_recipe(recipe, names)
    assert run.read_recipe() == (recipe, names)


def test_begin__tuples_in_model_options_are_the_same_run(tmp_path):
    """JSON has no tuples: they come back as lists."""
    options = {"inner_blocks": (1, 4), "depths": [2, 6]}
    recipe = dataclasses.replace(fashion_mnist_demo(), model_options=options)
    RunDirectory(tmp_path).begin(recipe, NAMES)
    RunDirectory(tmp_path).begin(recipe, NAMES)
    other = dataclasses.replace(recipe, model_options=options | {"depths": [2, 5]})
    with pytest.raises(FileExistsError, match="model_options"):
        RunDirectory(tmp_path).begin(other, NAMES)


def test_a_folder_without_recipe_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"not a run directory.*recipe\.json"):
        RunDirectory(tmp_path).read_recipe()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "Expecting value"),
        (lambda text: text[: len(text) // 2], "line"),
        (lambda text: "[]", "list"),
        (lambda text: "{}", "'recipe'"),
        (lambda text: text.replace("class_names", "names"), "'class_names'"),
        (lambda text: text.replace('"epochs"', '"epoch"'), "Did you mean 'epochs'?"),
        (lambda text: text.replace('"flip"', '"flop"'), "Did you mean 'flip'?"),
        (lambda text: re.sub('"data": .*', "", text), "Missing recipe fields: data"),
        (lambda text: text.replace('"epochs": 12', '"epochs": 0'), "got epochs=0."),
        (lambda text: text.replace('"seed"', '"seed": 1, "sead"'), "'sead'"),
    ],
)
def test_a_damaged_recipe_is_named(change, message, tmp_path):
    run = RunDirectory(tmp_path)
    run.write_recipe(fashion_mnist_demo(), NAMES)
    text = run.recipe.read_text()
    run.recipe.write_text(change(text))
    assert run.recipe.read_text() != text
    with pytest.raises(ValueError, match=r"recipe\.json is damaged: ") as error:
        run.read_recipe()
    assert message in str(error.value)


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    run = RunDirectory(tmp_path)
    run.recipe.mkdir()  # no file can take its place
    with pytest.raises(OSError, match=r"recipe\.json"):
        run.write_recipe(fashion_mnist_demo(), NAMES)
    assert os.listdir(tmp_path) == ["recipe.json"]


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    run = RunDirectory.create(str(tmp_path / "runs" / "first"))
    assert run.path == tmp_path / "runs" / "first"
    assert os.listdir(run.path) == []
    assert RunDirectory.create(run.path) == run  # still empty


def test_what_is_there_is_left_alone(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    for path in (tmp_path / "run", tmp_path / "run" / "notes.txt"):
        with pytest.raises(FileExistsError, match=r"exists and is not an empty.*--out"):
            RunDirectory.create(path)
    assert os.listdir(tmp_path / "run") == ["notes.txt"]


def test_the_next_free_name(tmp_path):
    base = tmp_path / "runs" / "demo"
    made = [RunDirectory.create_next(base).path.name for _ in range(3)]
    assert made == ["demo", "demo-2", "demo-3"]
    (base.parent / "demo-2").rmdir()
    assert RunDirectory.create_next(str(base)).path == base.parent / "demo-2"


def test_every_file_is_inside_and_explained(tmp_path):
    contents = RunDirectory(tmp_path).contents()
    assert len({path for path, _ in contents}) == len(contents)
    for path, what in contents:
        assert path.is_relative_to(tmp_path)
        assert what
