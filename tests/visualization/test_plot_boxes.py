"""Plots of boxes."""

import numpy as np
import pytest

from keras_tnt.visualization import plot_boxes
from tests.helpers.figures import image_of, saved_figures


def boxes_of(axis, style):
    return [
        (*patch.get_xy(), patch.get_width(), patch.get_height())
        for patch in axis.patches
        if patch.get_linestyle() == style
    ]


def test_plot_boxes__detections_and_truth(tmp_path, monkeypatch):
    figures = saved_figures(monkeypatch)
    images = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 1), "uint8")
    found = [[[1, 2, 11, 22, 1, 0.9], [0, 0, 5, 5, 0, 0.45]], [], [[0, 0, 4, 4, 1, 1]]]
    truths = [[[2, 2, 12, 20, 1]], [[0, 0, 8, 8, 3, 0, 64]], []]
    names = ["cat", "dog", "cow", "pig"]
    path = tmp_path / "boxes.png"
    plot_boxes(images, found, names, path, truths, columns=2)
    axes = figures[0].axes
    assert len(axes) == 4
    for axis, image in zip(axes, images, strict=False):
        np.testing.assert_array_equal(image_of(axis), image[..., 0])
    assert boxes_of(axes[0], "-") == [(0.5, 1.5, 10, 20), (-0.5, -0.5, 5, 5)]
    assert boxes_of(axes[0], "--") == [(1.5, 1.5, 10, 18)]
    assert boxes_of(axes[1], "-") == boxes_of(axes[2], "--") == []
    assert boxes_of(axes[1], "--") == [(-0.5, -0.5, 8, 8)]
    assert [text.get_text() for text in axes[0].texts] == ["90%", "45%"]
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["cat", "dog", "pig"]
    colors = {patch.get_edgecolor() for axis in axes[:3] for patch in axis.patches}
    assert len(colors) == 3
    with pytest.raises(ValueError, match="Expected detections of each of the 3 images"):
        plot_boxes(images, found[:1], names, path)
