"""`keras-tnt evaluate`."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_tnt.cli import main
from keras_tnt.evaluation.corruptions import SEVERITIES
from keras_tnt.training import fashion_mnist_demo
from keras_tnt.training.run_directory import RunDirectory
from tests.helpers.datasets import corrupt_directory, write_directory
from tests.helpers.imagenet import SIDE, prepare, rows_for, table_model
from tests.helpers.small import build_tnt, dense_classifier, small


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.keras"
    small(input_shape=(32, 48, 1), classes=10).save(path)
    return str(path)


def test_evaluate__report(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["evaluate", "--model", model, "--data", "fashion_mnist_mini"]
    assert main([*command, "--split", "test[:2%]"]) == 0
    output = capsys.readouterr().out
    report = json.loads((tmp_path / "evaluation" / "report.json").read_text())
    assert f"Top-1 {report['top_1']:.2%}" in output
    assert "of 40 images; 0 could not be decoded" in output
    for name in ("confusion.png", "reliability.png"):
        with Image.open(tmp_path / "evaluation" / name) as image:
            assert min(image.size) > 400

    assert main([*command, "--split", "test[:2%]", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures.pop("images_per_second") > 0
    assert report.pop("calibration")
    assert figures == {key: report[key] for key in figures}
    assert figures.keys() == report.keys() - {"images_per_second"}
    assert (tmp_path / "evaluation-2").is_dir()


def test_evaluate__user_errors(model, tmp_path, capsys):
    command = ["evaluate", "--model", model, "--out", str(tmp_path / "out")]
    assert main([*command, "--data", "fashion_mnist_mini", "--split", "tset"]) == 1
    assert "tset" in capsys.readouterr().err
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        image = tmp_path / "data" / name / "1.png"
        Image.fromarray(np.zeros((40, 40), "uint8")).save(image)
    assert main([*command, "--data", str(tmp_path / "data")]) == 1
    assert "2 classes, the model 10" in capsys.readouterr().err
    assert not (tmp_path / "out" / "report.json").exists()


@pytest.mark.slow
def test_evaluate__corrupt_images(tmp_path, capsys):
    path = tmp_path / "model.keras"
    small(input_shape=(32, 48, 1), classes=2).save(path)
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(3):
            image = tmp_path / "data" / name / f"{number}.png"
            Image.fromarray(np.full((40, 40), 9, "uint8")).save(image)
    image.write_bytes(b"no image")
    command = ["evaluate", "--model", str(path), "--data", str(tmp_path / "data")]
    assert main([*command, "--out", str(tmp_path / "one")]) == 1
    assert f"{image} cannot be read" in capsys.readouterr().err
    options = ["--skip-corrupt", "--json", "--out", str(tmp_path / "two")]
    assert main([*command, *options]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["images"], figures["corrupt"]) == (5, 1)


def test_evaluate__only_corrupt_images(tmp_path, capsys):
    path = tmp_path / "model.keras"
    dense_classifier(classes=2).save(path)
    command = ["evaluate", "--model", str(path), "--data"]
    command.append(str(corrupt_directory(tmp_path / "data")))
    out = tmp_path / "out"
    assert main([*command, "--skip-corrupt", "--out", str(out)]) == 1
    assert "can be read or decoded: there is nothing to eval" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(("option", "columns"), [([], 2), (["--all-classes"], 3)])
def test_evaluate__subset_of_classes(option, columns, tmp_path, capsys):
    run = RunDirectory.create(tmp_path / "run")
    run.write_recipe(fashion_mnist_demo(), ["ant", "bee", *"abcde"])
    dense_classifier().save(run.model)
    write_directory(tmp_path / "data", {"ant": 2, "bee": 2})
    command = ["evaluate", "--model", str(run.path), "--data", str(tmp_path / "data")]
    out = tmp_path / "out"
    assert main([*command, "--out", str(out), *option]) == 0
    among = {2: "among the 2 classes of the data set only; the model has 7"}
    among[3] = "among all 7 classes of the model"
    assert among[columns] in capsys.readouterr().out
    figures = json.loads((out / "report.json").read_text())
    assert (figures["classes"], figures["model_classes"]) == (2, 7)
    assert figures["all_classes"] is bool(option)


def imagenet_model(path, answers, side=32):
    """A file with a model that answers image i with classes answers[i], best first."""
    table_model(rows_for(answers), side).save(path)
    return str(path)


def test_evaluate__imagenet_a(tmp_path, capsys):
    """A model whose best answer is none of the 200 classes is asked for the next."""
    prepare(tmp_path, "imagenet_a", "test", [6, 11, 13, 13])
    # Right; 12 is not one of the 200, so 11 is right; in the top 5; wrong.
    answers = [[6], [12, 11], [15, 13], [6, 15, 17, 22, 23]]
    model = imagenet_model(tmp_path / "model.keras", answers)
    out = tmp_path / "out"
    command = ["evaluate", "--model", model, "--data", "imagenet_a"]
    assert main([*command, "--data-dir", str(tmp_path), "--out", str(out)]) == 0
    output = capsys.readouterr().out
    assert "Top-1 50.00%, top-5 75.00% of 4 images" in output
    assert "among the 200 classes of the data set only; the model has 1000" in output
    assert "To expect: tnt_small 24.63%, tnt_base 32.20% top-1, measured by" in output
    record = json.loads((out / "report.json").read_text())
    assert (record["data"], record["split"]) == ("imagenet_a", "test")
    assert record["published"] == {"tnt_small": 0.24627, "tnt_base": 0.322}
    shares = [0.5 / (0.5 + 199e-4), 0.25 / (0.25 + 199e-4)]
    shares += [0.25 / (0.75 + 198e-4), 1e-4 / (0.96875 + 195e-4)]
    expected = -np.mean(np.log(shares))
    assert record["negative_log_likelihood"] == pytest.approx(expected, rel=1e-4)
    with open(out / "confusion.csv", newline="") as file:
        rows = {row["true class"]: row for row in csv.DictReader(file)}
    assert len(rows) == 200
    assert rows["n01534433"]["n01558993"] == "1"  # 13, taken for 15
    assert rows["n01531178"]["n01531178"] == "1"  # 11


def test_evaluate__imagenet_real(tmp_path, capsys):
    labels = [[5], [], [7, 0, 9], [7, 9], [3], []]
    prepare(tmp_path, "imagenet2012_real", "validation", labels, "real_label")
    # Wrong, no label, right (the last of the list), in the top 5, wrong, no label.
    answers = [[6], [0], [9], [8, 1, 9], [0, 1, 2, 4, 5, 3], [1]]
    model = imagenet_model(tmp_path / "model.keras", answers)
    out = tmp_path / "out"
    command = ["evaluate", "--model", model, "--data-dir", str(tmp_path)]
    assert main([*command, "--data", "imagenet_real", "--out", str(out)]) == 0
    output = capsys.readouterr().out
    assert "Top-1 25.00%, top-5 50.00% of 4 images" in output
    assert "2 images without labels were left out" in output
    assert "tnt_small 86.76%, tnt_base 87.59%" in output
    assert {path.name for path in out.iterdir()} == {"report.json", "reliability.png"}
    record = json.loads((out / "report.json").read_text())
    rows = rows_for(answers)
    right = [rows[i, labels[i]].sum() for i in (0, 2, 3, 4)]
    expected = -np.mean(np.log(right))
    assert record["negative_log_likelihood"] == pytest.approx(expected, rel=1e-4)


def prepare_corrupted(data_dir):
    """75 data sets of two images: the model below is wrong on 0, 1 or 2 of them.

    Brightness has no errors; fog 0, 0, 1, 1 and 2; all others have 2.
    """
    builders = [
        prepare(data_dir, f"imagenet2012_corrupted/fog_{wrong + 1}", "validation",
                [0, 1][: 2 - wrong] + [7] * wrong)
        for wrong in range(3)
    ]  # fmt: skip
    sources = [data_dir / f"of_{wrong}" for wrong in range(3)]
    for builder, source in zip(builders, sources, strict=True):
        shutil.move(builder.data_dir, source)
    for name in ALEXNET:
        wrongs = {"brightness": [0] * 5, "fog": [0, 0, 1, 1, 2]}.get(name, [2] * 5)
        for severity, wrong in zip(SEVERITIES, wrongs, strict=True):
            directory = Path(builders[0].data_dir).parents[1] / f"{name}_{severity}"
            shutil.copytree(sources[wrong], directory / "3.1.0", dirs_exist_ok=True)


# In percent, from the paper's table of ImageNet-C.
ALEXNET = {
    "gaussian_noise": 88.6, "shot_noise": 89.4, "impulse_noise": 92.3,
    "defocus_blur": 82.0, "glass_blur": 82.6, "motion_blur": 78.6, "zoom_blur": 79.8,
    "snow": 86.7, "frost": 82.7, "fog": 81.9, "brightness": 56.5, "contrast": 85.3,
    "elastic_transform": 64.6, "pixelate": 71.8, "jpeg_compression": 60.7,
}  # fmt: skip


def test_evaluate__imagenet_c(tmp_path, capsys):
    prepare_corrupted(tmp_path)
    model = imagenet_model(tmp_path / "model.keras", [[0], [1]], SIDE)
    out = tmp_path / "out"
    command = ["evaluate", "--model", model, "--data-dir", str(tmp_path)]
    assert main([*command, "--data", "imagenet_c", "--out", str(out)]) == 0
    record = json.loads((out / "report.json").read_text())
    assert (record["images"], record["crop_fraction"]) == (150, 1.0)
    fog = record["corruptions"]["fog"]
    assert fog["errors"] == [0.0, 0.0, 0.5, 0.5, 1.0]
    assert fog["corruption_error"] == pytest.approx(0.4 / 0.819, rel=1e-3)
    assert record["corruptions"]["brightness"]["corruption_error"] == 0
    assert record["mean_error"] == pytest.approx((13 * 1 + 0.4 + 0) / 15)
    errors = dict.fromkeys(ALEXNET, 1.0) | {"fog": 0.4, "brightness": 0.0}
    ratios = [errors[name] / percent * 100 for name, percent in ALEXNET.items()]
    assert record["mean_corruption_error"] == pytest.approx(np.mean(ratios), rel=1e-3)
    output = capsys.readouterr().out
    (line,) = re.findall(r"^Mean corruption error.*", output, re.MULTILINE)
    figures = [f"{record['mean_corruption_error']:.2%}", "89.33%"]
    assert re.findall(r"[\d.]+%", line) == figures
    with open(out / "corruptions.csv", newline="") as file:
        rows = {row["corruption"]: row for row in csv.DictReader(file)}
    assert rows.keys() == ALEXNET.keys()
    assert rows["fog"]["error at severity 5"] == "1.0"


def test_evaluate__several_labels_elsewhere(tmp_path, capsys):
    """Of data sets with lists of labels, the right rule is known for ReaL only."""
    name = "imagenet2012_multilabel"
    builder = prepare(tmp_path, name, "validation", [[5]], "correct_multi_labels")
    model = imagenet_model(tmp_path / "model.keras", [[5]])
    for data in (name, str(builder.data_dir)):
        command = ["evaluate", "--model", model, "--data", data, "--split"]
        assert main([*command, "validation", "--data-dir", str(tmp_path)]) == 1
        message = capsys.readouterr().err
        assert "is not a set of images with one class each" in message
        assert "('image', 'correct_multi_labels')" in message


def test_evaluate__views_and_image_size(tmp_path, capsys):
    model = build_tnt(depth=1, classes=2, input_shape=(32, 32, 3))
    model.save(tmp_path / "model.keras")
    write_directory(tmp_path / "data", {"ant": 2, "bee": 2})
    command = ["evaluate", "--model", str(tmp_path / "model.keras"), "--json"]
    command += ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    options = ["--image-size", "48", "--crop-fraction", "0.8", "--flip"]
    assert main([*command, *options, "--five-crops"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    expected = {"image_size": [48, 48], "crop_fraction": 0.8, "flip": True}
    assert figures == figures | expected | {"five_crops": True, "images": 4}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--image-size=0"], "--image-size must be at least 1, got 0"),
        (["--crop-fraction=1.5"], "--crop-fraction must be above 0 and at most 1"),
        (["--image-size=48"], "takes images of size (32, 48) only. Another size needs"),
    ],
)
def test_evaluate__options_out_of_range(option, message, tmp_path, capsys):
    dense_classifier(classes=10).save(tmp_path / "model.keras")
    command = ["evaluate", "--model", str(tmp_path / "model.keras"), *option]
    data = ["--data", "fashion_mnist_mini", "--split", "test[:1]"]
    assert main([*command, *data]) == 1
    assert message in capsys.readouterr().err
