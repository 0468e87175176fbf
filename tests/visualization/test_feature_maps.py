"""Channels as maps, their t-SNE, and pixels averaged over channels."""

import numpy as np
import pytest

from keras_tnt.visualization import (
    BlockFeatures,
    block_features,
    feature_map_tsne,
    feature_maps,
    mean_pixel_map,
    pixel_map,
    tsne,
)
from tests.helpers.small import pixels, small


def of_small(**arguments):
    model = small(**arguments)
    return block_features(model, pixels(model, 2))


def random_features(dim=20, grid=(2, 3), batch=2):
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(batch, *grid, dim)).astype("float32")
    return BlockFeatures({4: patches}, {})


def test_feature_maps__channel_at_its_place():
    features = of_small(depth=1)
    found = feature_maps(features, 1)
    assert (found.shape, found.dtype) == ((2, 48, 2, 3), "float32")
    for channel in (0, 31, 47):
        expected = features.patches[1][..., channel]
        np.testing.assert_array_equal(found[:, channel], expected)


def test_mean_pixel_map__mean_of_channels_at_their_place():
    """Pixels numbered by their place, plus channels whose mean is 5."""
    image = np.arange(24, dtype="float32").reshape(1, 4, 6, 1) + np.float32([4, 5, 6])
    patches = image.reshape(1, 2, 2, 3, 2, 3).swapaxes(2, 3).reshape(1, 6, 4, 3)
    features = BlockFeatures({2: np.zeros((1, 2, 3, 8))}, {2: patches})
    expected = np.arange(24).reshape(1, 4, 6) + 5
    np.testing.assert_allclose(mean_pixel_map(features, 2), expected)


def test_mean_pixel_map__model():
    features = of_small(inner_blocks=(2,))
    found = mean_pixel_map(features, 2)
    assert (found.shape, found.dtype) == ((2, 8, 12), "float32")
    expected = pixel_map(features.pixels[2], (2, 3)).mean(axis=-1)
    np.testing.assert_allclose(found, expected)
    with pytest.raises(ValueError, match=r"Block 1 has no inner transformer.*\[2\]"):
        mean_pixel_map(features, 1)


def test_feature_map_tsne__points_are_channels_of_one_image():
    features = random_features()
    found = feature_map_tsne(features, 4, image=1, seed=3)
    rows = features.patches[4][1].reshape(6, 20).T
    assert found.shape == (20, 2)
    np.testing.assert_array_equal(found, tsne(rows, seed=3))


@pytest.mark.parametrize("compute", [feature_maps, feature_map_tsne, mean_pixel_map])
def test_feature_maps__missing_block(compute):
    with pytest.raises(ValueError, match=r"Block 3 has no .*expected one of \["):
        compute(random_features(), 3)


@pytest.mark.parametrize("image", [-1, 2])
def test_feature_map_tsne__missing_image(image):
    with pytest.raises(ValueError, match=f"no image {image}: expected one of the 2"):
        feature_map_tsne(random_features(), 4, image)


def test_feature_map_tsne__single_patch():
    """The last stage of a PyramidTNT of small images has one."""
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        feature_map_tsne(random_features(grid=(1, 1)), 4)
