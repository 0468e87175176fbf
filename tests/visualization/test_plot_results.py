"""Images of a run: they decode, and they show what they should."""

import os

import numpy as np
import pytest
from PIL import Image

from keras_tnt.visualization import attention_maps, block_map, plot_results
from keras_tnt.visualization.plot_results import (
    plot_attention,
    plot_predictions,
    plot_training_curves,
)
from tests.helpers.small import pixels, small

CRIMSON = (220, 20, 60)
GREEN = (10, 200, 30)
NAMES = ["shirt", "shoe", "bag"]


def read(path):
    """The pixels of the one file of its directory."""
    assert os.listdir(path.parent) == [path.name]
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def count(image, color):
    return int((image == color).all(axis=-1).sum())


def of_one_color(number, color):
    """Images of 20x20 pixels, all the same."""
    return np.broadcast_to(np.uint8(color), (number, 20, 20, len(color)))


def probabilities(classes):
    return np.eye(3)[classes] * 0.7 + 0.1


def write_history(path, losses):
    columns = "epoch,accuracy,loss,val_accuracy,val_loss\n"
    rows = [f"{i},0.{i},{loss},0.{i},{loss}\n" for i, loss in enumerate(losses)]
    path.write_text(columns + "".join(rows))


@pytest.mark.parametrize("losses", [[1.5], [2.0, 1.0, 0.5]])
def test_plot_training_curves__data(losses, tmp_path):
    write_history(tmp_path / "history.csv", losses)
    (tmp_path / "drawn").mkdir()
    path = tmp_path / "drawn" / "curves.png"
    plot_training_curves(tmp_path / "history.csv", path)
    first = read(path)
    height, width, _ = first.shape
    assert 300 < height < width < 1500
    assert first.std() > 5  # not blank
    write_history(tmp_path / "history.csv", [loss**2 for loss in losses])
    plot_training_curves(tmp_path / "history.csv", path)  # in place of the first
    second = read(path)
    assert second.shape == first.shape
    assert np.any(second != first)


@pytest.mark.parametrize("color", [(128,), GREEN])
def test_plot_predictions__errors_in_red(color, tmp_path):
    path = tmp_path / "predictions.png"
    images, labels = of_one_color(10, color), np.arange(10) % 3
    found = []
    for mistakes in (0, 1, 2):
        guesses = labels.copy()
        guesses[:mistakes] = (guesses[:mistakes] + 1) % 3
        plot_predictions(images, labels, probabilities(guesses), NAMES, path)
        picture = read(path)
        assert 200 < len(picture) < picture.shape[1] < 2000
        # Every image covers some thousand pixels, in its own color.
        assert count(picture, color * (3 // len(color))) > 10 * 3000
        found.append(count(picture, CRIMSON))
    assert found[0] == 0
    assert found[1] > 400  # at least the frame, 2 points wide
    assert found[2] > 1.8 * found[1]


@pytest.mark.parametrize("number", [1, 8, 9, 40])
def test_plot_predictions__any_number(number, tmp_path):
    path = tmp_path / "predictions.png"
    labels = np.zeros(number, int)
    images = of_one_color(number, GREEN)
    plot_predictions(images, labels, probabilities(labels), NAMES, path)
    image = read(path)
    rows = -(-number // 8)
    assert 200 * rows < len(image) < 250 * rows
    assert count(image, GREEN) > number * 3000


@pytest.mark.parametrize("shape", [(32, 48, 3), (32, 32, 1)])
def test_plot_attention__data(shape, tmp_path):
    model = small(input_shape=shape, inner_blocks=(1,))
    images = pixels(model, 3)
    path = tmp_path / "attention.png"
    plot_attention(model, images, NAMES, path)
    first = read(path)
    height, width, _ = first.shape
    assert 500 < height < width < 1500
    plot_attention(model, images[:1], NAMES[:1], path)
    alone = read(path)
    assert 2 * len(alone) < height
    assert alone.shape[1] == width
    colors = len(np.unique(alone.reshape(-1, 3), axis=0))
    assert colors > 500  # the overlay mixes the image with the color map


def test_plot_attention__box_around_the_highest_patch(monkeypatch):
    model = small(input_shape=(32, 48, 3))
    images = pixels(model, 2)
    figures = []
    monkeypatch.setattr(plot_results, "save_figure", lambda *made: figures.append(made))
    plot_attention(model, images, NAMES[:2], "attention.png")
    axes = np.array(figures[0][0].axes[:8]).reshape(2, 4)
    maps = block_map(attention_maps(model, images), 2)
    for row, image, weights in zip(axes, images, maps, strict=True):
        patch_row, column = divmod(int(weights.argmax()), 3)
        for axis in row[:2]:
            (box,) = axis.patches
            assert box.get_xy() == (column * 16 - 0.5, patch_row * 16 - 0.5)
            assert (box.get_width(), box.get_height()) == (16, 16)
        rows, columns = (
            slice(16 * first, 16 * first + 16) for first in (patch_row, column)
        )
        np.testing.assert_array_equal(
            row[2].images[0].get_array(), image[rows, columns]
        )
        inside = row[3].images[0].get_array()
        assert inside.max() == 1
        assert inside.min() > 0


def test_plot_attention__no_inner_blocks(tmp_path):
    model = small(inner_blocks=())
    with pytest.raises(ValueError, match="'tnt' has no inner transformer"):
        plot_attention(model, pixels(model, 1), ["one"], tmp_path / "attention.png")
    assert os.listdir(tmp_path) == []


def test_plots__failed_write(tmp_path):
    labels = np.zeros(1, int)
    path = tmp_path / "predictions.png"
    path.mkdir()  # no file can take its place
    with pytest.raises(OSError, match=r"predictions\.png"):
        plot_predictions(
            of_one_color(1, GREEN), labels, probabilities(labels), NAMES, path
        )
    assert os.listdir(tmp_path) == ["predictions.png"]
