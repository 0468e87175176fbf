"""Training with a recipe: what is trained, what is left behind, what is refused."""

import dataclasses
import json
import math
import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled

from keras_tnt.data import Augmentation, load_dataset
from keras_tnt.evaluation import evaluate
from keras_tnt.training import RunDirectory, classification_task, train
from keras_tnt.training.checkpoints import Checkpoints
from keras_tnt.training.history import History
from tests.helpers.checks import two_replicas
from tests.helpers.toy import toy_recipe


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished training with averaged weights, and dropout of all kinds."""
    directory = tmp_path_factory.mktemp("runs") / "toy"
    recipe = toy_recipe(
        ema_decay=0.99,
        model_options={"dropout_rate": 0.1, "drop_path_rate": 0.1},
        keep_checkpoints=99,
    )
    return recipe, RunDirectory(directory), train(recipe, directory)


def weights(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def assert_close(ours, theirs, atol):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], atol=atol, err_msg=name)


def test_train__files(trained):
    recipe, run, _ = trained
    names = {path.name for path, _ in run.contents()}
    expected = {"model.keras", "history.csv", "recipe.json"}
    assert expected | {"checkpoints"} <= names
    assert set(os.listdir(run.path)) == names
    assert run.read_recipe()[0] == recipe
    record = json.loads(run.recipe.read_text())
    assert record["versions"]["keras"] == keras.__version__
    assert record["command"]
    steps = [path.stem for path in Checkpoints(run.checkpoints).paths()]
    assert steps == [f"step-{step:08}" for step in (*range(4, 30, 4), 30)]


def test_train__history_of_raw_and_averaged(trained):
    _, run, result = trained
    rows = History(run.history).rows()
    assert rows == result.history
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["loss"] < rows[0]["loss"]
    for row in rows:
        assert row["images_per_second"] > 0
        assert 0 <= row["val_accuracy"] <= row["val_top_5_accuracy"] <= 1
        assert row["val_loss"] != row["val_ema_loss"]
    # Of the last of the 15 steps of the warm-up, and of the cosine.
    assert rows[0]["learning_rate"] == pytest.approx(4e-3 * 14 / 15)
    cosine = (1 + math.cos(math.pi * 14 / 15)) / 2
    expected = 4e-5 + (4e-3 - 4e-5) * cosine
    assert rows[1]["learning_rate"] == pytest.approx(expected, rel=1e-3)


def test_train__model_has_averaged_weights(trained):
    _, run, result = trained
    reloaded = keras.saving.load_model(run.model)
    assert_close(weights(reloaded), weights(result.model), atol=0)
    tensors = Checkpoints(run.checkpoints).newest().tensors
    for number, weight in enumerate(result.model.weights):
        np.testing.assert_array_equal(weight, tensors[f"average/{number}"])
    source = load_dataset("fashion_mnist_mini", "test[:2%]")
    figures = evaluate(reloaded, source, crop_fraction=1.0)
    last = result.history[-1]
    for name, value in figures.items():
        assert value == pytest.approx(last[f"val_ema_{name}"], abs=1e-5)


def test_train__same_call_again(trained, capsys):
    recipe, run, result = trained
    before = {path: path.stat().st_mtime_ns for path in run.checkpoints.iterdir()}
    again = train(recipe, run.path)
    assert "Resuming after step 30" in capsys.readouterr().out
    assert_close(weights(again.model), weights(result.model), atol=0)
    assert again.history == result.history
    after = {path: path.stat().st_mtime_ns for path in run.checkpoints.iterdir()}
    assert after == before


@pytest.mark.slow
def test_train__resumes_with_changed_settings(trained, tmp_path, caplog, capsys):
    """The updates stay the same; with verbose=0 nothing is printed."""
    recipe, run, result = trained
    shutil.copytree(run.path, tmp_path / "copy")
    for checkpoint in Checkpoints(tmp_path / "copy" / "checkpoints").paths()[2:]:
        checkpoint.unlink()
    changes = {
        "steps_per_execution": 5,  # after the rest of the epoch, which has 7 steps
        "remat": True,
        "cache": False,
        "skip_corrupt": True,
        "deterministic": True,
        "checkpoint_every": 2,
        "keep_checkpoints": 2,
    }
    changed = dataclasses.replace(recipe, **changes)
    capsys.readouterr()
    resumed = train(changed, tmp_path / "copy", verbose=0)
    assert capsys.readouterr() == ("", "")
    assert "checkpoint_every (4 → 2)" in caplog.text
    checkpoints = [
        Checkpoints(p / "checkpoints") for p in (run.path, tmp_path / "copy")
    ]
    expected, found = (checkpoint.newest().tensors for checkpoint in checkpoints)
    # The average, in the model in the end, moves in each of five steps.
    assert_close(found, expected, atol=1e-5)
    assert_close(weights(resumed.model), weights(result.model), atol=1e-5)
    assert [path.stem for path in checkpoints[1].paths()] == [
        "step-00000025",
        "step-00000030",
    ]
    assert not is_op_determinism_enabled()


def test_train__best_checkpoint_is_of_the_average(trained):
    _, run, result = trained
    accuracies = [row["val_ema_accuracy"] for row in result.history]
    best = Checkpoints(run.best).newest()
    epoch = int(np.argmax(accuracies)) + 1  # the first of equal ones
    assert best.state == {
        "step": 15 * epoch,
        "epoch": epoch,
        "accuracy": accuracies[epoch - 1],
    }
    last = Checkpoints(run.checkpoints).newest().tensors
    assert best.tensors.keys() == last.keys()


@pytest.fixture
def scripted(monkeypatch):
    """Accuracies that evaluations give, one after the other."""
    accuracies = []

    def evaluate(*arguments, **options):
        return {"loss": 1.0, "accuracy": accuracies.pop(0)}

    monkeypatch.setattr(classification_task, "CompiledEvaluator", lambda *_: evaluate)
    return accuracies


@pytest.mark.slow
def test_train__best_weights_and_patience(scripted, tmp_path):
    recipe = toy_recipe(
        train_split="train[:16]", epochs=9, warmup_epochs=1, keep="best", patience=2
    )
    scripted.extend([0.25, 0.5, 0.5, 0.375])
    result = train(recipe, tmp_path, verbose=0)
    assert [row["val_accuracy"] for row in result.history] == [0.25, 0.5, 0.5, 0.375]
    best = Checkpoints(tmp_path / "best").newest()
    assert best.state == {"step": 4, "epoch": 2, "accuracy": 0.5}
    assert Checkpoints(tmp_path / "checkpoints").newest().state["step"] == 8
    saved = keras.saving.load_model(tmp_path / "model.keras")
    for number, weight in enumerate(saved.weights):
        expected = best.tensors[f"model/{number}/{weight.path}"]
        np.testing.assert_array_equal(weight, expected)

    # The same call ends at once, and with more patience it goes on.
    assert len(train(recipe, tmp_path, verbose=0).history) == 4
    scripted.extend([0.5, 0.25])
    patient = dataclasses.replace(recipe, patience=4, keep="last")
    result = train(patient, tmp_path, verbose=0)
    assert len(result.history) == 6
    assert Checkpoints(tmp_path / "best").newest().state == best.state
    last = Checkpoints(tmp_path / "checkpoints").newest()
    assert last.state["step"] == 12
    for number, weight in enumerate(result.model.weights):
        expected = last.tensors[f"model/{number}/{weight.path}"]
        np.testing.assert_array_equal(weight, expected)


def test_train__urls_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="'gs://bucket/run': it is a URL"):
        train(toy_recipe(), "gs://bucket/run")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_train__truncated_checkpoint(trained, tmp_path, capsys, caplog):
    recipe, run, result = trained
    shutil.copytree(run.path, tmp_path / "copy")
    newest = Checkpoints(tmp_path / "copy" / "checkpoints").paths()[-1]
    os.truncate(newest, newest.stat().st_size - 100)
    resumed = train(recipe, tmp_path / "copy")
    said = capsys.readouterr().out
    assert f"The checkpoint {newest} is damaged" in caplog.text
    assert "Resuming after step 28" in said
    assert_close(weights(resumed.model), weights(result.model), atol=1e-5)
    assert resumed.history[0] == result.history[0]
    for name, value in result.history[1].items():
        if name != "images_per_second":
            assert resumed.history[1][name] == pytest.approx(value, abs=1e-5), name


def test_train__another_recipe(trained):
    recipe, run, _ = trained
    other = dataclasses.replace(recipe, epochs=3)
    with pytest.raises(FileExistsError, match=r"epochs \(2 → 3\)") as error:
        train(other, run.path)
    assert "--out" in str(error.value)
    assert run.read_recipe()[0] == recipe


@pytest.mark.extra_large
def test_train__two_replicas(tmp_path):
    recipe = toy_recipe(
        augmentation=Augmentation(flip=0.5, mixup=0.8, cutmix=1.0), ema_decay=0.9
    )
    one = train(recipe, tmp_path / "one", tf.distribute.OneDeviceStrategy("/cpu:0"))
    two = train(recipe, tmp_path / "two", two_replicas())
    assert_close(weights(two.model), weights(one.model), atol=1e-4)
    for ours, theirs in zip(two.history, one.history, strict=True):
        for name, value in theirs.items():
            if name != "images_per_second":
                assert ours[name] == pytest.approx(value, abs=1e-4), name


@pytest.mark.slow
def test_train__loss_not_finite(tmp_path):
    recipe = toy_recipe(learning_rate=1e25, checkpoint_every=1, keep_checkpoints=99)
    with pytest.raises(FloatingPointError, match=r"diverged: .* at step \d+") as error:
        train(recipe, tmp_path)
    last = Checkpoints(tmp_path / "checkpoints").newest()
    assert f"The weights of step {last.state['step']} are in" in str(error.value)
    assert "lower learning_rate" in str(error.value)
    model = keras.saving.load_model(tmp_path / "model.keras")
    for number, weight in enumerate(model.weights):
        assert np.isfinite(weight).all()
        np.testing.assert_array_equal(
            weight, last.tensors[f"model/{number}/{weight.path}"]
        )


@pytest.mark.slow
def test_train__fine_tuning(trained, tmp_path, capsys):
    _, run, _ = trained
    recipe = toy_recipe(
        weights=str(run.model),
        image_size=42,
        epochs=1,
        warmup_epochs=0,
        frozen_backbone=True,
    )
    tuned = weights(train(recipe, tmp_path / "probe").model)
    before = weights(keras.saving.load_model(run.model))
    changed = {name for name in tuned if tuned[name].shape != before[name].shape}
    assert len(changed) == 1  # the positions, resampled
    assert changed == {"patch_embedding/position_embedding"}
    for name, value in tuned.items():
        if name not in changed:
            same = (value == before[name]).all()
            assert same != name.startswith("predictions"), name


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"accumulation_steps": 3, "clip_norm": 1.0, "layer_decay": 0.7},
        {"remat": True, "jit_compile": True, "steps_per_execution": 5},
        {"precision": "float16", "ema_decay": 0.9},
        {"precision": "bfloat16"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_train__options(changes, tmp_path):
    recipe = toy_recipe(epochs=1, warmup_epochs=0, **changes)
    result = train(recipe, tmp_path)
    assert result.history[0]["loss"] < 2.6
    assert result.history[0]["val_loss"] < 2.4
    assert result.model.outputs[0].dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    policy = result.model.get_layer("block_1").dtype_policy.name
    precision = changes.get("precision", "float32")
    assert policy == (precision if precision == "float32" else f"mixed_{precision}")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": "fashion_mnist_mimi"}, ValueError, "Did you mean fashion_mnist_mini"),
        ({"data": "./nowhere"}, FileNotFoundError, "There is no directory './nowhere'"),
        ({"train_split": "training"}, ValueError, "training"),
        ({"model": "ResNet50"}, ValueError, "Unknown model 'ResNet50'.*TNTSmall"),
        ({"model_options": {"dept": 3}}, ValueError, "do not fit TNT: .*'dept'"),
        ({"batch_size": 128}, ValueError, "batch_size=128 is more than the 120"),
        ({"steps_per_execution": 4}, ValueError, "must divide the 15 steps"),
        ({"weights": "nowhere.safetensors"}, OSError, "nowhere.safetensors"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_train__invalid_before_first_step(changes, error, message, tmp_path):
    with pytest.raises(error, match=message):
        train(toy_recipe(**changes), tmp_path / "run")
    assert os.listdir(tmp_path) == []  # so that nothing blocks the corrected recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 9}, "must be a multiple of their number, 2. Use 8"),
        ({"batch_size": 1}, "must be a multiple of their number, 2. Use 2"),
        ({"accumulation_steps": 3}, "support accumulation_steps on several devices"),
        ({"steps_per_execution": 5}, "support steps_per_execution on several devices"),
    ],
)
def test_train__invalid_on_two_devices(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(toy_recipe(**changes), tmp_path / "run", two_replicas())


def image_directory(path, classes):
    """Class directories with two gray images each."""
    for name in classes:
        (path / name).mkdir(parents=True)
        for number in range(2):
            image = tf.io.encode_png(tf.fill((28, 28, 1), tf.constant(99, tf.uint8)))
            (path / name / f"{number}.png").write_bytes(image.numpy())


@pytest.mark.slow
def test_train__corrupt_image(tmp_path, caplog):
    for part in ("train", "test"):
        image_directory(tmp_path / "data" / part, ["cat", "dog", "owl"])
    broken = tmp_path / "data" / "train" / "dog" / "1.png"
    broken.write_bytes(broken.read_bytes()[:40])
    recipe = toy_recipe(
        data=str(tmp_path / "data"),
        train_split="train",
        validation_split="test",
        batch_size=2,
        epochs=2,
        cache=False,
    )
    with pytest.raises(ValueError, match=r"dog/1\.png cannot be read.* skip_corrupt"):
        train(recipe, tmp_path / "run")
    recipe = toy_recipe(
        data=str(tmp_path / "data"),
        train_split="train",
        validation_split="test",
        batch_size=2,
        epochs=2,
        cache=False,
        skip_corrupt=True,
    )
    result = train(recipe, tmp_path / "skipping")
    assert len(result.history) == 2
    assert "dog/1.png" in caplog.text


@pytest.mark.slow
def test_train__lora(trained, tmp_path, capsys):
    """Adapters and head are trained, a resume is exact, and the model has both."""
    _, run, _ = trained
    recipe = toy_recipe(weights=str(run.model), lora_rank=2, warmup_epochs=0)
    result = train(recipe, tmp_path / "whole", verbose=2)
    assert "parameters are trained" in capsys.readouterr().out
    before, after = weights(keras.saving.load_model(run.model)), weights(result.model)
    for path, value in before.items():
        same = np.array_equal(after[path], value)
        assert same != path.startswith("predictions"), path
    assert {"block_1/outer/attention/qkv/lora_kernel_b"} <= after.keys() - before.keys()
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    saved = keras.saving.load_model(tmp_path / "whole/model.keras")
    assert_close(weights(saved), after, atol=0)
    part = tmp_path / "part"
    shutil.copytree(tmp_path / "whole", part)
    (part / "model.keras").unlink()
    checkpoints = Checkpoints(part / "checkpoints").paths()
    checkpoints[-1].unlink()  # and goes on after the one before it
    assert_close(weights(train(recipe, part).model), after, atol=0)
