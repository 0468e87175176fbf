"""Training of segmenters by a recipe."""

import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tnt.cli import main
from keras_tnt.data import Augmentation, load_mask_dataset
from keras_tnt.data.mask_decoding import mask_labels
from keras_tnt.evaluation import evaluate_segmenter
from keras_tnt.export import export_segmenter
from keras_tnt.images import load_image
from keras_tnt.inference import load_segmenter, predict_mask
from keras_tnt.training import Recipe, train
from keras_tnt.training.checkpoints import Checkpoints
from tests.helpers.masks import CLASS_NAMES, SHADE, png, random_classes, write_masks
from tests.helpers.small import dense_classifier
from tests.helpers.toy import OPTIONS

AUGMENTATION = Augmentation(crop_scale=(0.3, 1.0), flip=0.5, color_jitter=0.2)


def mask_recipe(directory, **changes):
    """Eight images in four steps an epoch, two epochs."""
    settings = {
        "task": "segmentation",
        "task_options": {"dim": 8},
        "model": "TNT",
        "model_options": OPTIONS | {"patch_size": 8, "drop_path_rate": 0.2},
        "data": str(directory),
        "image_size": (24, 16),
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
    directory = tmp_path_factory.mktemp("masks")
    masks = write_masks(directory, {"train": 8, "validation": 3})
    return mask_recipe(masks, keep="best", class_weights=(1, 2, 1))


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    directory = tmp_path_factory.mktemp("segmentation")
    return recipe, directory, train(recipe, directory, verbose=0)


def test_train__segmenter(trained):
    recipe, run, result = trained
    row = result.history[-1]
    assert {"loss", "mean_iou", "val_loss", "val_mean_iou", "val_pixel_accuracy"} <= {
        *row
    }
    model = keras.saving.load_model(run / "model.keras")
    assert model.output_shape == (None, 24, 16, 3)
    source = load_mask_dataset(recipe.data, "validation")
    found = evaluate_segmenter(model, source).mean_iou
    best = Checkpoints(run / "best").newest().state
    assert best["mean_iou"] == max(r["val_ema_mean_iou"] for r in result.history)
    assert found == pytest.approx(best["mean_iou"], abs=1e-6)


@pytest.mark.slow
def test_train__segmenter_resumes_exactly(trained, tmp_path):
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
    for name in ("loss", "val_loss", "val_ema_mean_iou"):
        assert again.history[1][name] == pytest.approx(result.history[1][name])


@pytest.mark.end_to_end
def test_command__segmentation(recipe, tmp_path, capsys):
    path = tmp_path / "recipe.json"
    record = dataclasses.asdict(recipe) | {"epochs": 1}
    path.write_text(json.dumps({"recipe": record, "class_names": []}))
    command = ["train", "--recipe", str(path), "--out", str(tmp_path / "run")]
    options = [
        "--frozen-backbone",
        "--task-options",
        '{"head": "trans2seg", "dim": 32}',
    ]
    assert main([*command, *options, "--precision", "bfloat16"]) == 0
    said = capsys.readouterr().out
    assert "val_mean_iou" in said
    assert (tmp_path / "run" / "curves.png").exists()


def test_train__faults_are_named_before_the_first_step(tmp_path):
    masks = write_masks(tmp_path / "masks", {"train": 2, "validation": 2})
    path = masks / "masks" / "validation" / "001.png"
    path.write_bytes(png(np.zeros((20, 20), "uint8")))
    with pytest.raises(ValueError, match=r"001\.png has a mask of 20x20 pixels"):
        train(mask_recipe(masks), tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augmentation": Augmentation(mixup=0.8)}, "mixup=0.8 is not available"),
        ({"class_weights": (1, 2)}, "a weight for each of the 3 classes"),
        ({"task_options": {"heads": "fcn"}}, "task_options do not fit"),
        ({"task_options": {"head": "fcn"}}, "head must be one of"),
    ],
)
def test_train__recipes_that_do_not_fit_the_masks(changes, message, recipe, tmp_path):
    changed = dataclasses.replace(recipe, **changes)
    with pytest.raises(ValueError, match=message):
        train(changed, tmp_path / "run", verbose=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "depth"}, "task must be one of classification, segmentation, det"),
        ({"task": "detection"}, "class_weights=.* has no effect with task=detection"),
        ({"teacher": "run"}, "teacher='run' has no effect with task=segmentation"),
        ({"class_weights": (1, -1)}, "class_weights must be numbers of at least 0"),
        ({"class_weights": ("1",)}, "class_weights must be numbers of at least 0"),
        (
            {"task": "classification", "task_options": {}},
            r"class_weights=\(1, 2, 1\) has no effect with task=classification",
        ),
    ],
)
def test_recipe__task(changes, message, recipe):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(recipe, **changes)


@pytest.mark.slow
def test_commands__draw_masks_and_export(trained, tmp_path, capsys):
    recipe, run, result = trained
    image = f"{recipe.data}/images/validation/000.png"
    out = tmp_path / "masks"
    command = ["predict", image, "--model", str(run), "--out", str(out)]
    assert main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert sum(found["share"] for found in said["shares"]) == pytest.approx(1)
    mask = mask_labels((out / "000.png").read_bytes())
    expected = predict_mask(load_segmenter(run), load_image(image))
    np.testing.assert_array_equal(mask, expected)
    assert mask.shape == (24, 20)
    assert (out / "000_plot.png").stat().st_size > 1000
    (tmp_path / "broken.png").write_bytes(b"")
    command[1], command[-1] = str(tmp_path / "broken.png"), str(tmp_path / "none")
    assert main([*command, "--json"]) == 1
    said = capsys.readouterr()
    assert "is empty" in said.err
    record = json.loads(said.out)
    assert record == {"path": command[1], "shares": [], "error": record["error"]}
    assert "is empty" in record["error"]

    exported = ["export", "--model", str(run), "--out", str(tmp_path / "served")]
    assert main(exported) == 0
    version = tmp_path / "served" / "1"
    assert (version / "assets" / "labels.txt").read_text().split() == [*CLASS_NAMES]
    loaded = tf.saved_model.load(version)
    images = np.random.default_rng(0).integers(0, 256, (2, 24, 16, 3), "uint8")
    outputs = loaded.signatures["predict_images_uint8"](images=tf.constant(images))
    logits = result.model(images)
    np.testing.assert_allclose(outputs["logits"], logits, atol=1e-4)
    assert outputs["classes"].dtype == tf.int32
    np.testing.assert_array_equal(
        outputs["classes"], np.argmax(outputs["logits"], axis=-1)
    )
    assert main([*exported, "--version", "1"]) == 1
    assert "1 exists. Choose another version" in capsys.readouterr().err
    assert main([*exported, "--format", "onnx"]) == 1
    assert "exported as a savedmodel in float32 only" in capsys.readouterr().err
    assert main([*exported, "--for-cpus"]) == 1
    assert "exported for any device only" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "written"),
    [
        (("a/cat.png", "b/cat.png"), "cat.png"),
        (("cat.bmp", "cat.png"), "cat.png"),
        (("Cat.png", "b/cat.png"), "cat.png"),
        (("caf\u00e9.png", "b/cafe\u0301.png"), "cafe\u0301.png"),
        (("cat.png", "cat_plot.png"), "cat_plot.png"),
        (("Cat_Plot.png", "cat.png"), "cat_plot.png"),
    ],
)
def test_predict__two_images_of_one_mask(names, written, trained, tmp_path, capsys):
    images = [tmp_path / name for name in names]
    for number, image in enumerate(images):
        image.parent.mkdir(exist_ok=True)
        Image.fromarray(SHADE * random_classes(number)).save(image)
    out = tmp_path / "masks"
    command = ["--model", str(trained[1]), "--out", str(out)]
    assert main(["predict", *map(str, images), *command]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    said = f"{images[0]} and {images[1]} would both be written to {written}. Rename"
    assert said in errors
    assert not out.exists()


@pytest.mark.slow
def test_predict__masks_replace_no_file(trained, tmp_path, monkeypatch, capsys):
    recipe, run, _ = trained
    images = tmp_path / "images"
    shutil.copytree(f"{recipe.data}/images/validation", images)
    before = {path.name: path.read_bytes() for path in images.iterdir()}
    command = ["predict", str(images), "--model", str(run)]
    assert main([*command, "--out", str(images)]) == 1
    assert "exists and is not an empty directory" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in images.iterdir()} == before

    monkeypatch.chdir(tmp_path)
    twice = str(images / "000.png")  # it is in the directory, too
    for out in ("masks", "masks-2"):
        assert main([*command[:2], twice, *command[2:]]) == 0
        assert f"000.png: {Path(out, '000.png')}\n" in capsys.readouterr().out
        ends = (".png", "_plot.png")
        names = {f"{number:03d}{end}" for number in range(3) for end in ends}
        assert {path.name for path in Path(out).iterdir()} == names


@pytest.mark.slow
def test_command__evaluate_segmentation(trained, tmp_path, capsys):
    recipe, run, result = trained
    command = ["evaluate", "--model", str(run), "--data", recipe.data]
    command += ["--split", "validation", "--out", str(tmp_path / "evaluation")]
    assert main(command) == 0
    best = max(row["val_ema_mean_iou"] for row in result.history)
    assert f"mean IoU {best:.4f}, pixel accuracy " in capsys.readouterr().out
    table = (tmp_path / "evaluation" / "classes.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["class", *CLASS_NAMES]


@pytest.mark.slow
def test_export_segmenter__refused(trained, tmp_path):
    model = trained[2].model
    with pytest.raises(ValueError, match="Expected names of 3 classes, got 1"):
        export_segmenter(model, tmp_path / "served", ["sky"])
    with pytest.raises(ValueError, match="Expected a segmenter"):
        export_segmenter(dense_classifier(), tmp_path / "served")
    assert not (tmp_path / "served").exists()
