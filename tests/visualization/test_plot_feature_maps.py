"""Plots of feature maps and of mean pixels: the data behind the axes."""

import numpy as np
import pytest

from keras_tnt.visualization import (
    BlockFeatures,
    feature_map_tsne,
    plot_feature_map_tsne,
    plot_feature_maps,
    plot_features,
    plot_mean_pixels,
)
from tests.helpers.figures import image_of, saved_figures

IMAGES = np.random.default_rng(1).integers(0, 256, (2, 16, 24, 3), "uint8")


def features(dims=(6, 4)):
    """Two blocks of two images; the second block has no inner transformer."""
    rng = np.random.default_rng(0)
    patches = {
        block: rng.normal(size=(2, 2, 3, dim)).astype("float32")
        for block, dim in enumerate(dims, start=1)
    }
    return BlockFeatures(patches, {1: rng.normal(size=(2, 6, 4, 5))})


def grid_of(figure, rows):
    return np.reshape(figure.axes, (rows, -1))


@pytest.fixture
def figures(monkeypatch):
    return saved_figures(monkeypatch)


def test_plot_feature_maps__channels(figures, tmp_path):
    """Five of six channels, then all of four; none twice, by ascending number."""
    plot_feature_maps(features(), IMAGES[0], [1, 2], tmp_path / "maps.png", channels=5)
    axes = grid_of(figures[0], 2)
    assert axes.shape == (2, 6)
    np.testing.assert_array_equal(image_of(axes[0][0]), IMAGES[0])
    assert not axes[1][0].get_images()
    for row, block, count in ((axes[0], 1, 5), (axes[1], 2, 4)):
        assert row[1].get_ylabel() == f"block {block}"
        shown = [axis for axis in row[1:] if axis.get_images()]
        channels = [int(axis.get_title().removeprefix("channel ")) for axis in shown]
        assert len(set(channels)) == count
        assert channels == sorted(channels)
        for axis, channel in zip(shown, channels, strict=True):
            expected = features().patches[block][0, ..., channel]
            np.testing.assert_array_equal(image_of(axis), expected)


def test_plot_feature_maps__seed(figures, tmp_path):
    for seed in (0, 0, 1):
        plot_feature_maps(
            features((40,)), IMAGES[0], [1], tmp_path / "a.png", channels=2, seed=seed
        )
    first, again, other = (
        [axis.get_title() for axis in figure.axes] for figure in figures
    )
    assert first == again != other


def test_plot_feature_map_tsne__points(figures, tmp_path):
    given = features((20, 8))
    plot_feature_map_tsne(given, [2, 1], tmp_path / "layout.png")
    for axis, block, count in zip(figures[0].axes, (2, 1), (8, 20), strict=True):
        assert axis.get_title() == f"{count} feature maps, block {block}"
        (points,) = axis.collections
        expected = feature_map_tsne(given, block)
        np.testing.assert_array_equal(points.get_offsets(), expected)


def test_plot_mean_pixels__maps(figures, tmp_path):
    plot_mean_pixels(features(), IMAGES, [1], tmp_path / "pixels.png")
    axes = grid_of(figures[0], 2)
    assert axes[0][1].get_title() == "pixels, block 1"
    means = features().pixels[1].mean(axis=-1)  # (image, patch, pixel)
    for row, image, mean in zip(axes, IMAGES, means, strict=True):
        np.testing.assert_array_equal(image_of(row[0]), image)
        shown = image_of(row[1])
        assert shown.shape == (4, 6)
        np.testing.assert_allclose(shown[:2, :2].ravel(), mean[0])
        np.testing.assert_allclose(shown[2:, 4:].ravel(), mean[5])


@pytest.mark.parametrize(
    ("plot", "message"),
    [
        (lambda f, p: plot_mean_pixels(f, IMAGES, [2], p), "no inner transformer"),
        (lambda f, p: plot_mean_pixels(f, IMAGES[:1], [1], p), "the 2 images"),
        (lambda f, p: plot_mean_pixels(f, IMAGES[0], [1], p), "the 2 images"),
        (lambda f, p: plot_features(f, IMAGES[:1], [1], p), "the 2 images"),
        (lambda f, p: plot_feature_maps(f, IMAGES, [1], p), "Expected one image"),
        (lambda f, p: plot_feature_maps(f, IMAGES[0], [3], p), "Block 3 has no"),
        (lambda f, p: plot_feature_maps(f, IMAGES[0], [1], p, 0), "at least 1, got 0"),
        (lambda f, p: plot_feature_map_tsne(f, [3], p), "Block 3 has no features"),
    ],
)
def test_plot_feature_maps__errors(plot, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        plot(features(), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
