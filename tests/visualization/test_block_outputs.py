"""The walk computes what the model computes, and says how it attended."""

import keras
import numpy as np
import pytest
from scipy.special import softmax

from keras_tnt.layers import SpatialReductionAttention
from keras_tnt.visualization.block_outputs import iterate_blocks
from tests.helpers.small import pixels, small, small_pyramid


def test_iterate_blocks__tnt():
    model = small(depth=3, inner_blocks=(1, 3), dropout_rate=0.5)
    images = pixels(model)
    names = ["block_1", "block_2", "block_3"]
    layers = keras.Model(model.input, [model.get_layer(n).output for n in names])
    for step, expected in zip(
        iterate_blocks(model, images), layers(images), strict=True
    ):
        if step.pixels is None:
            expected = [expected]
        else:
            np.testing.assert_allclose(step.pixels, expected[0], atol=1e-5)
        np.testing.assert_allclose(step.patches, expected[-1], atol=1e-5)


def test_iterate_blocks__pyramid():
    model = small_pyramid(depths=(1, 2, 1, 2))
    images = pixels(model)
    steps = list(iterate_blocks(model, images))
    assert [step.pixels is not None for step in steps] == [1, 1, 0, 1, 1, 0]
    stages = [model.get_layer(f"stage_{stage}").output[1] for stage in (1, 2, 3, 4)]
    stages = keras.Model(model.input, stages)(images)
    for block, stage in zip((0, 2, 3, 5), stages, strict=True):
        expected = np.reshape(stage, (3, -1, stage.shape[-1]))
        np.testing.assert_allclose(steps[block].patches, expected, atol=1e-5)


@pytest.mark.parametrize("ratio", [1, 2])
def test_iterate_blocks__spatial_reduction_by_hand(ratio):
    """Each query's weights of the keys, from the layer's own projections."""
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(2, 4, 6, 8)).astype("float32")
    bias = rng.normal(size=(1, 2, 24, 24 // ratio**2)).astype("float32")
    layer = SpatialReductionAttention(num_heads=2, sr_ratio=ratio)
    outputs, scores = layer(patches, bias, return_attention_scores=True)
    np.testing.assert_array_equal(outputs, layer(patches, bias))

    query = patches.reshape(2, 24, 8) @ layer.query.kernel.numpy()
    pooled = patches.reshape(2, 4 // ratio, ratio, 6 // ratio, ratio, 8).mean((2, 4))
    source = pooled.reshape(2, -1, 8)
    if ratio > 1:
        source = np.asarray(layer.reduction_norm(layer.reduction_dense(source)))
    key = (source @ layer.key_value.kernel.numpy())[..., :8]
    query, key = (part.reshape(2, -1, 2, 4) for part in (query, key))
    products = np.einsum("bqhc,bkhc->bhqk", query, key) / 2  # the root of 4
    np.testing.assert_allclose(scores, softmax(products + bias, axis=-1), atol=1e-5)
