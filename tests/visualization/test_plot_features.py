"""Images of features and reasons decode and show what they should."""

import numpy as np
import pytest
from PIL import Image

from keras_tnt.visualization import (
    BlockFeatures,
    plot_features,
    plot_saliency,
    plot_tsne,
)

BLUE, DARK = (31, 119, 180), (68, 1, 84)


def read(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), "int32")


def test_plot_features__two_halves(tmp_path):
    """Under the image's black there are but the two colors, in both columns."""
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 8))
    patches = np.stack([left, right])[[[[0, 1], [0, 1]]]]
    pixels = np.stack([left, right])[[[[0] * 4, [1] * 4] * 2]]
    features = BlockFeatures({3: patches}, {3: pixels})
    image = np.zeros((1, 32, 32, 3), "uint8")
    plot_features(features, image, [3], tmp_path / "features.png")
    drawn = read(tmp_path / "features.png")
    for column in np.array_split(drawn, 3, axis=1)[1:]:
        height, width, _ = column.shape
        row = column[height // 2 + 10]
        assert np.all(row[width // 4] == row[width // 3])
        assert np.any(row[width // 4] != row[3 * width // 4])


def test_plot_features__missing_block(tmp_path):
    features = BlockFeatures({1: np.ones((1, 2, 2, 8))}, {})
    with pytest.raises(
        ValueError, match=r"Block 2 has no features: expected one of \[1\]"
    ):
        plot_features(features, np.zeros((1, 8, 8, 1)), [2], tmp_path / "a.png")


def test_plot_tsne__legend(tmp_path):
    layers = {"one": np.random.default_rng(0).normal(size=(30, 4))}
    plot_tsne(layers, np.arange(30) % 3, list("abc"), tmp_path / "classes.png")
    plot_tsne(layers, np.arange(30) / 30, "height", tmp_path / "shades.png")
    classes, shades = (read(tmp_path / f"{n}.png") for n in ("classes", "shades"))
    # The first of ten colors; the dark end of the scale of shades.
    for image, found, lacking in ((classes, BLUE, DARK), (shades, DARK, BLUE)):
        assert (image == found).all(axis=-1).sum() > 20
        assert not (image == lacking).all(axis=-1).any()


def test_plot_saliency__colors(tmp_path):
    images = np.zeros((1, 32, 32, 3), "uint8")
    shares = np.zeros((1, 32, 32, 3), "float32")
    shares[:, :16], shares[:, 16:] = 1, -1
    plot_saliency(images, ["it"], np.ones((1, 2, 2)), shares, tmp_path / "why.png")
    drawn = read(tmp_path / "why.png")
    red, blue = drawn[..., 0] - drawn[..., 2] > 100, drawn[..., 2] - drawn[..., 0] > 70
    lowest = slice(2 * len(drawn) // 3, None)
    assert red[lowest].sum() > 5000
    assert blue[lowest].sum() > 5000
    assert np.nonzero(red[lowest])[0].max() < np.nonzero(blue[lowest])[0].min() + 2
