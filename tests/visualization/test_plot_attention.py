"""Images of attention and the command that writes them."""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_tnt
from keras_tnt.cli import main
from keras_tnt.training import fashion_mnist_demo
from keras_tnt.training.run_directory import RunDirectory
from keras_tnt.visualization import (
    AttentionMaps,
    plot_attention_heads,
    plot_attention_overlays,
    plot_inner_attention,
    plot_patch_attention,
)
from tests.helpers import ASSETS
from tests.helpers.figures import image_of, saved_figures
from tests.helpers.small import BOTH, pixels, small, small_pyramid

PHOTO = str(ASSETS / "astronaut_small.png")
NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]


def read(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), "int32")


def seen(model):
    images = pixels(model, 1)
    return keras_tnt.attention_maps(model, images), images[0]


def one_bright_patch(patch):
    """Maps of one block whose class token attends to one of 2x3 patches alone."""
    outer = np.zeros((1, 1, 7, 7), "float32")
    outer[..., 1 + patch] = 1
    inner = np.full((1, 6, 1, 16, 16), 1 / 16, "float32")
    return AttentionMaps({1: outer}, {1: inner}, {1: (2, 3)}, {1: 1})


def brightest_column(picture, parts):
    """Which of equal vertical parts of an image has most yellow."""
    yellow = picture[..., 0] + picture[..., 1] - 2 * picture[..., 2]
    return int(np.argmax([part.mean() for part in np.array_split(yellow, parts, 1)]))


@pytest.mark.parametrize("patch", [0, 1, 2])
def test_plot_attention_heads__data(patch, tmp_path):
    image = np.zeros((32, 48, 3), "uint8")
    plot_attention_heads(one_bright_patch(patch), image, [1], tmp_path / "heads.png")
    assert os.listdir(tmp_path) == ["heads.png"]
    assert brightest_column(read(tmp_path / "heads.png"), 3) == patch


@pytest.mark.parametrize("patch", [0, 2])
def test_plot_attention_overlays__data(patch, tmp_path):
    """Columns: the image, the block, the rollout; each of three patches' width."""
    image = np.zeros((32, 48, 3), "uint8")
    plot_attention_overlays(
        one_bright_patch(patch), image, [1], tmp_path / "overlay.png"
    )
    picture = read(tmp_path / "overlay.png")
    block = np.array_split(picture, 3, axis=1)[1]
    assert brightest_column(block, 3) == patch


def test_plot_patch_attention__data(monkeypatch, tmp_path):
    """Patches attend to the patch before; the class token is left out."""
    figures = saved_figures(monkeypatch)
    weights = np.zeros((7, 7), "float32")
    weights[0] = weights[:, 0] = 0.5
    weights[1:, 1:] = np.eye(6)[:, [5, 0, 1, 2, 3, 4]] / 2
    heads = np.stack([weights, np.eye(7)])
    maps = one_bright_patch(0)._replace(outer={1: heads[None], 2: heads[None, 1:]})
    maps = maps._replace(grids={1: (2, 3), 2: (2, 3)}, sr_ratios={1: 1, 2: 1})
    plot_patch_attention(maps, [2, 1], tmp_path / "patches.png")
    second, first = figures[0].axes
    assert second.get_title() == "block 2"
    np.testing.assert_array_equal(image_of(second), np.eye(6))
    expected = (weights[1:, 1:] + np.eye(6)) / 2
    np.testing.assert_allclose(image_of(first), expected)
    with pytest.raises(ValueError, match=r"Block 3 has no attention.*\[1, 2\]"):
        plot_patch_attention(maps, [3], tmp_path / "patches.png")


@pytest.mark.parametrize("build", BOTH)
def test_plot_attention__models(build, tmp_path):
    maps, image = seen(build())
    blocks = [1, max(maps.outer)]
    plot_attention_overlays(maps, image, blocks, tmp_path / "overlay.png")
    plot_attention_heads(maps, image, blocks, tmp_path / "heads.png")
    plot_inner_attention(maps, image, blocks, (1, 2), tmp_path / "patch.png")
    plot_patch_attention(maps, blocks, tmp_path / "patches.png")
    for name in ("overlay", "heads", "patch", "patches"):
        picture = read(tmp_path / f"{name}.png")
        assert 200 < min(picture.shape[:2]) < max(picture.shape[:2]) < 2500
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


def test_plot_attention__frame_of_patch(tmp_path):
    """Cyan at the patch, in the left one of three columns of axes."""
    image = np.zeros((32, 48, 3), "uint8")
    for patch in ((0, 0), (1, 2)):
        plot_inner_attention(
            one_bright_patch(0), image, [1], patch, tmp_path / "patch.png"
        )
        picture = read(tmp_path / "patch.png")
        left = picture[: len(picture) // 2, : picture.shape[1] // 3]
        rows, columns = np.nonzero((left == (0, 255, 255)).all(axis=-1))
        assert (columns.mean() > left.shape[1] / 2) == (patch == (1, 2))
        assert (rows.mean() > left.shape[0] / 2) == (patch == (1, 2))


def save_run(directory, model):
    run = RunDirectory.create(directory)
    run.write_recipe(fashion_mnist_demo(), NAMES)
    model.save(run.model)
    return str(directory)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    model = small(depth=3, input_shape=(32, 48, 1), inner_blocks=(1, 3))
    return save_run(tmp_path_factory.mktemp("runs") / "run", model)


@pytest.mark.slow
def test_attention_command__three_images(run, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["attention", PHOTO, "--model", run, "--out", str(out)]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    assert sorted(os.listdir(out)) == ["heads.png", "overlay.png", "patch.png"]
    assert f"{Path(out, 'overlay.png')}  attention of blocks 1, 2, 3" in output
    first = read(out / "patch.png")
    assert main(["attention", PHOTO, "--model", run, "--out", str(out)]) == 1
    assert "not an empty directory" in capsys.readouterr().err

    chosen = ["--blocks", "3,1", "--patch", "1,2", "--out", str(tmp_path / "again")]
    assert main(["attention", PHOTO, "--model", run, *chosen]) == 0
    output = capsys.readouterr().out
    assert "attention of blocks 3, 1" in output
    assert "inside patch 1, 2" in output
    assert read(tmp_path / "again" / "patch.png").shape == first.shape


@pytest.mark.slow
def test_attention_command__no_inner_blocks(tmp_path, capsys):
    small(inner_blocks=()).save(tmp_path / "model.keras")
    model, out = str(tmp_path / "model.keras"), tmp_path / "out"
    assert main(["attention", PHOTO, "--model", model, "--out", str(out)]) == 0
    assert "no inner transformer in blocks 1, 2." in capsys.readouterr().out
    assert sorted(os.listdir(out)) == ["heads.png", "overlay.png"]


@pytest.mark.slow
def test_attention_command__pyramid(tmp_path, capsys):
    small_pyramid(outer_num_heads=1).save(tmp_path / "model.keras")
    model, out = str(tmp_path / "model.keras"), tmp_path / "out"
    options = ["--blocks", "1,4", "--patch", "7,11", "--out", str(out)]
    assert main(["attention", PHOTO, "--model", model, *options]) == 0
    assert "inside patch 7, 11" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--blocks", "4"], r"Block 4 has no attention: expected one of [1, 2, 3]"),
        (["--patch", "2,0"], "no patch (2, 0)"),
        (["--model", "nothing"], "There is no model 'nothing'"),
    ],
)
def test_attention_command__user_errors(options, message, run, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["attention", PHOTO, "--model", run, "--out", str(out), *options]
    assert main(command) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("options", [["--blocks", "one"], ["--patch", "3"]])
def test_attention_command__usage(options, capsys):
    with pytest.raises(SystemExit) as end:
        main(["attention", PHOTO, *options])
    assert end.value.code == 2
    assert "such as" in capsys.readouterr().err


def test_attention_command__exported_model(tmp_path, capsys):
    tf.saved_model.save(tf.Module(), str(tmp_path / "exported"))
    exported = str(tmp_path / "exported")
    assert main(["attention", PHOTO, "--model", exported]) == 1
    assert "exported model" in (errors := capsys.readouterr().err)
    assert "Pass the run directory or the .keras file" in errors
    assert os.listdir(tmp_path) == ["exported"]
