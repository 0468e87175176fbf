"""Layers on maps, of static and of open size."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.layers.class_embedding import ClassEmbedding
from keras_tnt.layers.class_masks import ClassMasks
from keras_tnt.layers.pixel_map import PixelMap
from keras_tnt.layers.region_pooling import RegionPooling
from keras_tnt.layers.resize_like import ResizeLike
from keras_tnt.visualization import pixel_map
from tests.helpers.checks import check_config, check_layer
from tests.helpers.graphs import traced


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_resize_like__equals_tensorflow():
    maps, like = noise(2, 3, 4, 5), noise(2, 7, 6, 1)
    found = ResizeLike()(maps, like)
    expected = tf.image.resize(maps, (7, 6), "bilinear")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    shapes = (None, None, None, 5), (None, None, None, 1)
    graph = traced(ResizeLike(), *shapes)
    np.testing.assert_allclose(graph(maps, like), expected, atol=1e-6)
    half = ResizeLike(dtype="mixed_bfloat16")
    for call in (half, traced(half, *shapes)):
        assert call(maps, like).dtype == tf.bfloat16
    open_like = keras.KerasTensor((None, None, 6, 1))
    assert half(keras.KerasTensor((None, 3, 4, 5)), open_like).shape == (
        None,
        None,
        6,
        5,
    )


@pytest.mark.parametrize("bins", [1, 3, 6])
def test_region_pooling__equals_keras(bins):
    maps = noise(2, 4, 7, 5)
    expected = keras.layers.AdaptiveAveragePooling2D(bins)(maps)
    np.testing.assert_allclose(RegionPooling(bins)(maps), expected, atol=1e-6)
    check_layer(RegionPooling(bins), maps.shape, weights=0)
    graph = traced(RegionPooling(bins), (None, None, None, 5))
    np.testing.assert_allclose(graph(maps), expected, atol=1e-6)


def test_pixel_map__equals_that_of_the_plots():
    pixels, patches = noise(2, 6, 16, 5), noise(2, 2, 3, 8)
    expected = pixel_map(pixels, (2, 3))
    np.testing.assert_array_equal(PixelMap()(pixels, patches), expected)
    graph = traced(PixelMap(), (None, None, 16, 5), (None, None, None, 8))
    np.testing.assert_array_equal(graph(pixels, patches), expected)


def test_class_embedding__equals_weights():
    layer = ClassEmbedding(5)
    found = layer(noise(2, 6, 8))
    np.testing.assert_array_equal(found, np.stack([layer.embeddings] * 2))
    check_config(layer)


def test_class_masks__shared_checks():
    layer = ClassMasks(2, mask_dim=4)
    check_layer(layer, (3, 5, 8), (3, 2, 3, 8), (3, 4, 6, 7), weights=12)
    inputs = noise(3, 5, 8), noise(3, 2, 3, 8), noise(3, 4, 6, 7)
    shapes = [(None, 5, 8), (None, None, None, 8), (None, None, None, 7)]
    found = traced(layer, *shapes)(*inputs)
    np.testing.assert_allclose(found, layer(*inputs), atol=1e-5)


def test_class_masks__classes_are_independent():
    """A class's mask depends on its own token alone."""
    layer = ClassMasks(2, mask_dim=4)
    classes, maps, details = noise(1, 3, 8), noise(1, 2, 3, 8), noise(1, 4, 6, 7)
    found = np.array(layer(classes, maps, details))
    order = [2, 0, 1]
    moved = layer(classes[:, order], maps, details)
    np.testing.assert_allclose(moved, found[..., order], atol=1e-6)


def test_class_masks__width_and_heads():
    with pytest.raises(ValueError, match="multiple of num_heads, got width 8"):
        ClassMasks(3)(noise(1, 3, 8), noise(1, 2, 3, 8), noise(1, 4, 6, 7))
