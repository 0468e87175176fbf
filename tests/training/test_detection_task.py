"""Training of detectors by a recipe."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.cli import main
from keras_tnt.data import Augmentation, load_box_dataset
from keras_tnt.evaluation import evaluate_detector
from keras_tnt.images import load_image
from keras_tnt.inference import detect, load_detector, load_segmenter
from keras_tnt.training import Recipe, train
from keras_tnt.training.checkpoints import Checkpoints
from tests.helpers.boxes import CLASS_NAMES, change_annotations, write_boxes
from tests.helpers.toy import OPTIONS

AUGMENTATION = Augmentation(crop_scale=(0.3, 1.0), flip=0.5, color_jitter=0.2)


def box_recipe(directory, **changes):
    """Eight images in four steps an epoch, two epochs."""
    settings = {
        "task": "detection",
        "task_options": {
            "dim": 8,
            "levels": [2, 3],
            "convolutions": 1,
            "max_boxes": 4,
            "score_threshold": 0.0,
        },
        "model": "TNT",
        "model_options": OPTIONS | {"patch_size": 8, "drop_path_rate": 0.2},
        "data": str(directory),
        "image_size": (32, 24),
        "augmentation": AUGMENTATION,
        "label_smoothing": 0.0,
        "epochs": 2,
        "batch_size": 2,
        "learning_rate": 3e-3,
        "ema_decay": 0.5,
        "checkpoint_every": 1,
        "keep_checkpoints": 8,
        "precision": "float32",
        "deterministic": True,
    }
    return Recipe(**(settings | changes))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    directory = tmp_path_factory.mktemp("boxes")
    boxes = write_boxes(directory, {"train": 8, "validation": 3})
    return box_recipe(boxes, keep="best")


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    directory = tmp_path_factory.mktemp("detection")
    return recipe, directory, train(recipe, directory, verbose=0)


@pytest.mark.slow
def test_train__detector(trained):
    recipe, run, result = trained
    row = result.history[-1]
    assert {"loss", "cls_logits_loss", "val_ap", "val_ap50", "val_ema_ap75"} <= {*row}
    assert result.history[1]["loss"] < result.history[0]["loss"]
    model = keras.saving.load_model(run / "model.keras")
    source = load_box_dataset(recipe.data, "validation")
    report = evaluate_detector(model, source)
    best = Checkpoints(run / "best").newest().state
    assert best["ap"] == max(r["val_ema_ap"] for r in result.history)
    assert report.ap == pytest.approx(best["ap"], abs=1e-6)
    assert report.class_names == CLASS_NAMES


@pytest.mark.slow
def test_train__detector_resumes_exactly(trained, tmp_path):
    """As a run that was killed in the middle of the second epoch."""
    recipe, run, result = trained
    shutil.copytree(run, tmp_path / "killed")
    (tmp_path / "killed" / "model.keras").unlink()
    shutil.rmtree(tmp_path / "killed" / "best")
    for path in Checkpoints(tmp_path / "killed" / "checkpoints").paths()[5:]:
        path.unlink()
    again = train(recipe, tmp_path / "killed", verbose=0)
    ends = [
        Checkpoints(path / "checkpoints").newest()
        for path in (run, tmp_path / "killed")
    ]
    assert ends[0].state["step"] == ends[1].state["step"] == 8
    for name, value in ends[0].tensors.items():
        np.testing.assert_array_equal(value, ends[1].tensors[name], err_msg=name)
    for name in ("loss", "val_ap", "val_ema_ap50"):
        assert again.history[1][name] == pytest.approx(result.history[1][name])


def test_train__faults_of_boxes_are_named_before_the_first_step(tmp_path):
    boxes = write_boxes(tmp_path / "boxes", {"train": 2, "validation": 2})

    def change(record):
        record["annotations"][0]["bbox"] = [0, 0, 21.5, 3]

    change_annotations(boxes, change, "annotations/validation.json")
    with pytest.raises(ValueError, match=r"000\.png has the box \[0, 0, 21.5, 3\]"):
        train(box_recipe(boxes), tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augmentation": Augmentation(mixup=0.8)}, "mixup=0.8 is not available"),
        ({"task_options": {"head": "fcn"}}, "task_options do not fit a detector"),
        ({"task_options": {"max_boxes": 0}}, "max_boxes must be at least 1"),
        ({"task_options": {"levels": [2, 9]}}, "maps of the levels 1 to 4"),
    ],
)
def test_train__recipes_that_do_not_fit_the_boxes(changes, message, recipe, tmp_path):
    changed = dataclasses.replace(recipe, **changes)
    with pytest.raises(ValueError, match=message):
        train(changed, tmp_path / "run", verbose=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": "run"}, "teacher='run' has no effect with task=detection"),
        ({"class_weights": (1, 1, 1)}, "has no effect with task=detection"),
    ],
)
def test_recipe__fields_of_other_tasks(changes, message, recipe):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(recipe, **changes)


@pytest.mark.slow
def test_commands__draw_boxes_and_export(trained, tmp_path, capsys):
    recipe, run, result = trained
    image = f"{recipe.data}/images/validation/000.png"
    out = tmp_path / "boxes"
    command = ["predict", image, "--model", str(run), "--out", str(out), "--top", "3"]
    assert main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    expected = detect(load_detector(run), load_image(image))
    assert len(said["objects"]) == 3 < len(expected)
    for found, each in zip(said["objects"], expected, strict=False):
        assert found["class"] == each.class_name
        assert found["box"] == pytest.approx(each.box, abs=1e-3)
        assert found["score"] == pytest.approx(each.score)
        left, top, right, bottom = each.box
        assert 0 <= left <= right <= 20
        assert 0 <= top <= bottom <= 24
    assert (out / "000.png").stat().st_size > 1000
    command[5] = str(tmp_path / "again")
    assert main(command) == 0
    assert f"{image}: " in capsys.readouterr().out

    exported = ["export", "--model", str(run), "--out", str(tmp_path / "served")]
    assert main(exported) == 0
    loaded = tf.saved_model.load(tmp_path / "served" / "1")
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 24, 3), "uint8")
    outputs = loaded.signatures["predict_images_uint8"](images=tf.constant(images))
    logits = result.model(images)["cls_logits"]
    np.testing.assert_allclose(outputs["anchor_logits"], logits, atol=1e-4)
    assert main([*exported, "--format", "onnx"]) == 1
    assert "exported as a savedmodel in float32 only" in capsys.readouterr().err
    with pytest.raises(ValueError, match="is a run of the task detection"):
        load_segmenter(run)


@pytest.mark.slow
def test_command__evaluate_detection(trained, tmp_path, capsys):
    recipe, run, result = trained
    out = tmp_path / "evaluation"
    command = ["evaluate", "--model", str(run), "--data", recipe.data]
    command += ["--split", "validation", "--out", str(out)]
    assert main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    best = max(row["val_ema_ap"] for row in result.history)
    assert said["ap"] == pytest.approx(best, abs=1e-6)
    assert said["ap_large"] is None
    assert json.loads((out / "report.json").read_text()) == said
    lines = (out / "classes.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["class", *CLASS_NAMES]
    assert main([*command, "--flip"]) == 1
    assert "--flip is for classifiers" in capsys.readouterr().err

    def rename(record):
        record["categories"][0]["name"] = "horse"

    boxes = shutil.copytree(recipe.data, tmp_path / "boxes")
    change_annotations(boxes, rename, "annotations/validation.json")
    command[4], command[-1] = str(boxes), str(tmp_path / "other")
    assert main(command) == 1
    assert "Expected the same, in the same order" in capsys.readouterr().err


@pytest.mark.end_to_end
def test_command__detection(recipe, tmp_path, capsys):
    path = tmp_path / "recipe.json"
    record = dataclasses.asdict(recipe) | {"epochs": 1}
    path.write_text(json.dumps({"recipe": record, "class_names": []}))
    command = ["train", "--recipe", str(path), "--out", str(tmp_path / "run")]
    assert main([*command, "--frozen-backbone", "--precision", "bfloat16"]) == 0
    assert "val_ap50" in capsys.readouterr().out
    assert (tmp_path / "run" / "curves.png").exists()
