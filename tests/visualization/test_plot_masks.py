"""Plots of masks."""

import numpy as np
import pytest

from keras_tnt.visualization import plot_masks
from keras_tnt.visualization.plot_masks import class_colors, mask_image
from tests.helpers.figures import image_of, saved_figures


def test_class_colors__differ():
    colors = class_colors(150)
    assert len({tuple(color) for color in colors}) > 140
    np.testing.assert_array_equal(class_colors(5), colors[:5])
    assert len({tuple(color) for color in colors[:21]}) == 21


def test_plot_masks__image_truth_and_prediction(tmp_path, monkeypatch):
    figures = saved_figures(monkeypatch)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 8, 12, 1), "uint8")
    truth, predicted = rng.integers(-1, 3, (2, 8, 12)), rng.integers(0, 2, (2, 8, 12))
    names = ["sky", "tree", "road"]
    plot_masks(images, predicted, names, tmp_path / "masks.png", truth)
    axes = np.reshape(figures[0].axes, (3, 2))
    colors = class_colors(3)
    for column in range(2):
        expected = (
            images[column, ..., 0],
            *(mask_image(mask[column], colors) for mask in (truth, predicted)),
        )
        for axis, array in zip(axes[:, column], expected, strict=True):
            np.testing.assert_array_equal(image_of(axis), array)
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == names
    with pytest.raises(ValueError, match="Expected 2 masks of as many images, got 1"):
        plot_masks(images, predicted[:1], names, tmp_path / "masks.png")
