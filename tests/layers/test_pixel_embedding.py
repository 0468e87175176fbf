"""Pixel embedding: what its convolution computes for each stride and precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.layers import PixelEmbedding


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    ("patch_size", "stride"), [(16, 4), (14, 7), (16, 5), (16, 8), (32, 16), (3, 9)]
)
def test_pixel_embedding__equals_convolution(patch_size, stride, precision):
    """In a graph, where TensorFlow fuses padding and convolution.

    It then read outside the image in float16 on CPUs with AVX512-FP16: values changed
    from call to call, were NaN now and then, and with some shapes the process aborted.
    """
    keras.utils.set_random_seed(0)
    layer = PixelEmbedding(8, patch_size, stride, dtype=precision)
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (8, patch_size, patch_size, 3)).astype("float32")
    layer.build(images.shape)
    padded = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)))
    kernel, bias = layer.projection.get_weights()
    expected = tf.nn.conv2d(padded, kernel, stride, "VALID") + bias
    expected = expected.numpy().reshape(8, 1, -1, 8) + layer.position_embedding
    graph = tf.function(layer)
    tolerance = {"float32": 1e-6, "mixed_float16": 2e-3}.get(precision, 2e-2)
    for _ in range(4):
        result = tf.cast(graph(images), tf.float32)
        np.testing.assert_allclose(result, expected, atol=tolerance)
