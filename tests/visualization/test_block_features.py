"""What blocks give, as arrays and as colors."""

import keras
import numpy as np
import pytest

from keras_tnt.visualization import (
    block_features,
    features_to_rgb,
    pixel_map,
    principal_components,
    tsne,
)
from tests.helpers.small import pixels, small, small_pyramid


def test_block_features__tnt():
    model = small(inner_blocks=(1,))
    images = pixels(model, 2)
    features = block_features(model, images)
    outputs = [model.get_layer(name).output for name in ("block_1", "block_2")]
    (words, first), second = keras.Model(model.input, outputs)(images)
    for block, patches in ((1, first), (2, second)):
        expected = np.reshape(patches[:, 1:], (2, 2, 3, 48))
        np.testing.assert_allclose(features.patches[block], expected, atol=1e-5)
    assert features.pixels.keys() == {1}
    np.testing.assert_allclose(features.pixels[1], words, atol=1e-5)


def test_block_features__pyramid_in_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = small_pyramid()
    features = block_features(model, pixels(model, 2))
    grids = [(8, 12), (4, 6), (2, 3), (1, 2)]
    dims = [16, 32, 64, 64]
    for block, (grid, dim) in enumerate(zip(grids, dims, strict=True), start=1):
        assert features.patches[block].shape == (2, *grid, dim)
        count = grid[0] * grid[1]
        assert features.pixels[block].shape == (2, count, 16, dim // 4)
        assert features.patches[block].dtype == "float32"


def test_pixel_map__position():
    """Pixels numbered by their place, cut into patches of 2x2 as the models do."""
    image = np.arange(24).reshape(1, 4, 6, 1)
    patches = image.reshape(1, 2, 2, 3, 2, 1).swapaxes(2, 3).reshape(1, 6, 4, 1)
    np.testing.assert_array_equal(pixel_map(patches, (2, 3)), image)


def test_principal_components__equal_to_svd():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5, 4, 6)) * [9, 1, 4, 0.1, 2, 0.5]
    found = principal_components(features, 3)
    assert found.shape == (5, 4, 3)
    centered = features.reshape(20, 6) - features.reshape(20, 6).mean(axis=0)
    left, values, _ = np.linalg.svd(centered, full_matrices=False)
    expected = (left * values)[:, :3]
    found = found.reshape(20, 3)
    expected *= np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    again = principal_components(-features, 3).reshape(20, 3)
    np.testing.assert_allclose(again, -found, atol=1e-4)  # the same directions


def test_features_to_rgb__equal_features_equal_colors():
    groups = np.random.default_rng(0).normal(size=(3, 16))
    labels = np.random.default_rng(1).integers(0, 3, (2, 8, 8))
    colors = features_to_rgb(groups[labels])
    assert (colors.shape, colors.dtype) == ((2, 8, 8, 3), "uint8")
    for label in range(3):
        assert np.ptp(colors[labels == label], axis=0).max() == 0
    assert len(np.unique(colors.reshape(-1, 3), axis=0)) == 3
    assert np.all(features_to_rgb(np.ones((1, 2, 2, 4))) == 0)  # nothing to tell apart


def test_tsne__groups():
    rng = np.random.default_rng(0)
    groups = np.repeat([[0.0] * 8, [20.0] * 8], 30, axis=0)
    layout = tsne(groups + rng.normal(size=groups.shape))
    assert layout.shape == (60, 2)
    near = np.linalg.norm(layout[:30] - layout[:30].mean(axis=0), axis=1).max()
    far = np.linalg.norm(layout[:30].mean(axis=0) - layout[30:].mean(axis=0))
    assert far > near


def test_tsne__too_few():
    with pytest.raises(ValueError, match="at least 3 samples, got 2"):
        tsne(np.ones((2, 5)))
