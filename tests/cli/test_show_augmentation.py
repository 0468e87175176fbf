"""`keras-tnt show-augmentation` and the sheet that it plots."""

import os

import numpy as np
import pytest
from PIL import Image

from keras_tnt.cli import main
from keras_tnt.visualization.plot_results import plot_augmented_images
from tests.helpers.datasets import write_directory


def read(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("number", [1, 6, 7])
def test_show_augmentation__sheet(number, tmp_path):
    images = np.broadcast_to(np.float32([10, 200, 30]), (number, 20, 20, 3))
    labels = np.eye(3)[[0] * number] * 0.6 + np.eye(3)[[2] * number] * 0.4
    path = tmp_path / "augmented.png"
    plot_augmented_images(images, labels, ["ant", "bee", "cat"], path)
    green = (read(path) == (10, 200, 30)).all(axis=-1).sum()
    assert green > number * 5000
    assert os.listdir(tmp_path) == ["augmented.png"]


def test_show_augmentation__command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_directory(tmp_path / "photos", {"ant": 5, "bee": 4})
    command = ["show-augmentation", "--data", "photos", "--image-size", "32"]
    command += ["--augmentation", "flip"]
    assert main(command) == 0
    assert capsys.readouterr().out == "augmented.png: 8 of 9 images, photos\n"
    first = read("augmented.png")
    assert main([*command, "--step", "1", "--out", "other.png"]) == 0
    assert np.any(read("other.png") != first)
    other = ["--three-augment", "--color-jitter", "0.3", "--out", "three.png"]
    assert main([*command, *other]) == 0
    assert np.any(read("three.png") != first)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "val"], "Unknown split 'val'"),
        (["--data", "fashion_mnist_miny"], "Did you mean fashion_mnist_mini"),
        (["--data", "./nothing"], "There is no directory './nothing'"),
        (["--three-augment"], "three_augment=True cannot be used beside RandAugment"),
    ],
)
def test_show_augmentation__user_errors(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["show-augmentation", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert os.listdir(tmp_path) == []
