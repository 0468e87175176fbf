"""The directory of a run: made anew, written whole, read back as it was."""

import dataclasses
import json
import os
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_tnt.data import Augmentation
from keras_tnt.training import Recipe, RunDirectory, fashion_mnist_demo
from keras_tnt.training.checkpoints import Checkpoints

NAMES = ["T-shirt/top", "Größe", "靴"]


def test_run_directory__recipe_round_trip(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_recipe(fashion_mnist_demo(), tuple(NAMES))
    assert run.read_recipe() == (fashion_mnist_demo(), NAMES)
    assert os.listdir(tmp_path) == ["recipe.json"]
    text = run.recipe.read_text()
    assert keras.__version__ in text
    assert tf.__version__ in text


VALUES = st.recursive(
    st.integers() | st.text() | st.none() | st.booleans(),
    lambda values: st.lists(values) | st.lists(values).map(tuple),
    max_leaves=5,
)


@settings(max_examples=30, deadline=None)
@given(
    recipe=st.builds(
        Recipe,
        model=st.text(),
        model_options=st.dictionaries(st.text(), VALUES),
        data=st.text(),
        image_size=st.integers(1) | st.tuples(st.integers(1), st.integers(1)),
        epochs=st.integers(11, 1000),
        batch_size=st.integers(1),
        learning_rate=st.floats(0, exclude_min=True, allow_infinity=False),
        warmup_epochs=st.integers(0, 10),
        augmentation=st.builds(
            Augmentation, flip=st.floats(0, 1), mixup=st.floats(0, 10)
        ),
        label_smoothing=st.floats(0, 1),
        seed=st.integers(0, 2**32 - 1),
    ),
    names=st.lists(st.text()),
)
def test_run_directory__any_recipe(recipe, names, tmp_path_factory):
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    run.begin(recipe, names)
    model_options = json.loads(json.dumps(recipe.model_options))
    expected = dataclasses.replace(recipe, model_options=model_options)
    assert run.read_recipe() == (expected, names)
    (run.path / "model.keras").touch()
    for again in (recipe, expected):  # both are the same run
        run.begin(again, names)


def begun(directory, **changes):
    """A run with a checkpoint."""
    run = RunDirectory(directory)
    run.begin(dataclasses.replace(fashion_mnist_demo(), **changes), NAMES)
    Checkpoints(run.checkpoints).save(1, {"w": np.zeros(1)}, {})
    return run


def test_begin__tuples_in_model_options_are_the_same_run(tmp_path):
    """JSON has no tuples: they come back as lists."""
    options = {"inner_blocks": (1, 4), "depths": [2, 6]}
    recipe = dataclasses.replace(fashion_mnist_demo(), model_options=options)
    run = begun(tmp_path, model_options=options)
    run.begin(recipe, NAMES)
    other = dataclasses.replace(recipe, model_options=options | {"depths": [2, 5]})
    with pytest.raises(FileExistsError, match="model_options"):
        run.begin(other, NAMES)


def test_begin__a_run_without_checkpoint_is_replaced(tmp_path, caplog):
    run, recipe = RunDirectory(tmp_path), fashion_mnist_demo()
    run.begin(recipe, NAMES)
    corrected = dataclasses.replace(recipe, batch_size=32)
    run.begin(corrected, NAMES[:2])
    assert run.read_recipe() == (corrected, NAMES[:2])
    assert f"{tmp_path} changes: batch_size (64 → 32), the classes." in caplog.text


@pytest.mark.parametrize("kept", ["checkpoints/step-1.safetensors", "model.keras"])
def test_begin__a_run_with_results_is_kept(kept, tmp_path):
    run, recipe = RunDirectory(tmp_path), fashion_mnist_demo()
    run.begin(recipe, NAMES)
    (tmp_path / kept).parent.mkdir(exist_ok=True)
    (tmp_path / kept).touch()
    for other, names in (
        (dataclasses.replace(recipe, batch_size=32), NAMES),
        (recipe, NAMES[:2]),
    ):
        with pytest.raises(FileExistsError, match="run of another recipe"):
            run.begin(other, names)
    assert run.read_recipe() == (recipe, NAMES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("skip_corrupt", True),
        ("cache", False),
        ("data_dir", "/mnt/data"),
        ("remat", True),
        ("jit_compile", True),
        ("steps_per_execution", 11),
        ("deterministic", False),
        ("checkpoint_every", 7),
        ("keep_checkpoints", 9),
        ("keep", "best"),
        ("patience", 5),
    ],
)
def test_begin__what_does_not_change_the_training_may_change(
    name, value, tmp_path, caplog
):
    run = begun(tmp_path)
    changed = dataclasses.replace(fashion_mnist_demo(), **{name: value})
    run.begin(changed, NAMES)
    assert run.read_recipe()[0] == changed
    before = getattr(fashion_mnist_demo(), name)
    assert f"{name} ({before!r} → {value!r})" in caplog.text
    with pytest.raises(FileExistsError, match=r"differs in seed \(0 → 1\)\. Choose"):
        run.begin(dataclasses.replace(changed, seed=1, **{name: before}), NAMES)


def test_run_directory__no_recipe(tmp_path):
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
        (lambda text: text.replace('"epochs": 12', '"epochs": 0'), "got 0."),
        (lambda text: text.replace('"seed"', '"seed": 1, "sead"'), "'sead'"),
    ],
)
def test_run_directory__damaged_recipe(change, message, tmp_path):
    run = RunDirectory(tmp_path)
    run.write_recipe(fashion_mnist_demo(), NAMES)
    text = run.recipe.read_text()
    run.recipe.write_text(change(text))
    assert run.recipe.read_text() != text
    with pytest.raises(ValueError, match=r"recipe\.json is damaged: ") as error:
        run.read_recipe()
    assert message in str(error.value)


def test_run_directory__failed_write(tmp_path):
    run = RunDirectory(tmp_path)
    run.recipe.mkdir()  # no file can take its place
    with pytest.raises(OSError, match=r"recipe\.json"):
        run.write_recipe(fashion_mnist_demo(), NAMES)
    assert os.listdir(tmp_path) == ["recipe.json"]


def test_run_directory_create__parents(tmp_path):
    run = RunDirectory.create(str(tmp_path / "runs" / "first"))
    assert run.path == tmp_path / "runs" / "first"
    assert os.listdir(run.path) == []
    assert RunDirectory.create(run.path) == run  # still empty


def test_run_directory_create__existing_kept(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    for path in (tmp_path / "run", tmp_path / "run" / "notes.txt"):
        with pytest.raises(FileExistsError, match=r"exists and is not an empty.*--out"):
            RunDirectory.create(path)
    assert os.listdir(tmp_path / "run") == ["notes.txt"]


def test_run_directory__files_documented(tmp_path):
    contents = RunDirectory(tmp_path).contents()
    assert len({path for path, _ in contents}) == len(contents)
    for path, what in contents:
        assert path.is_relative_to(tmp_path)
        assert what
