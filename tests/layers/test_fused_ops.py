"""The fused ops equal the plain arithmetic."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.layers import FeedForward, LayerNorm, fused_ops, gelu
from tests.helpers.checks import two_replicas

PRECISIONS = [("float32", 1e-5), ("bfloat16", 0.05), ("float16", 5e-3)]


def gradients(function, *inputs):
    """The results and the gradients of a weighted sum of them."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = function(*inputs)
        weights = tf.reshape(tf.range(tf.size(outputs)) % 7, outputs.shape)
        loss = tf.reduce_sum(outputs * tf.cast(weights, outputs.dtype))
    return [tf.cast(t, "float32") for t in (outputs, *tape.gradient(loss, inputs))]


def assert_equal(found, expected, tolerance):
    for ours, theirs in zip(found, expected, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_gelu__equals_plain_arithmetic(dtype, tolerance, rng):
    x = tf.cast(rng.normal(0, 3, (6, 8)), dtype)
    exact = gradients(lambda x: gelu(x), tf.cast(x, "float32"))
    assert_equal(gradients(fused_ops.gelu, x), exact, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_layer_norm__equals_plain_arithmetic(dtype, tolerance, rng):
    layer = keras.layers.LayerNormalization(epsilon=1e-5)
    x = tf.cast(rng.normal(2, 3, (6, 8)), dtype)
    gamma, beta = (tf.constant(rng.normal(size=8), tf.float32) for _ in range(2))
    layer.build(x.shape)

    def plain(x, gamma, beta):
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-5)

    def ours(x, gamma, beta):
        return fused_ops.layer_norm(x, gamma, beta, 1e-5)

    exact = gradients(plain, tf.cast(x, "float32"), gamma, beta)
    assert_equal(gradients(ours, x, gamma, beta), exact, tolerance)


def test_layer_norm__large_mean_keeps_precision(rng):
    rows = tf.constant(rng.normal(3000, 1, (4, 64)), tf.float32)
    exact = rows.numpy().astype("float64")
    exact -= exact.mean(axis=-1, keepdims=True)
    exact /= np.sqrt(exact.var(axis=-1, keepdims=True) + 1e-5)
    found = fused_ops.layer_norm(rows, tf.ones([64]), tf.zeros([64]), 1e-5)
    np.testing.assert_allclose(found, exact, atol=1e-2)


def calls(layer, training):
    """How often the layer's graph calls a compiled function."""
    spec = tf.TensorSpec((None, 5, 8))
    function = tf.function(lambda x: layer(x, training=training), [spec])
    graph = function.get_concrete_function().graph
    return sum(node.type.endswith("PartitionedCall") for node in graph.get_operations())


@pytest.mark.parametrize("layer", [LayerNorm(), FeedForward()])
def test_use_fused_ops__only_in_training(layer):
    layer.build((None, 5, 8))
    assert calls(layer, training=True) == 1
    assert calls(layer, training=False) == 0
    assert calls(layer, training=None) == 0


def test_fused_ops__two_replicas_train_as_one(rng):
    """The gradients of fused ops are summed over replicas like others."""
    x = rng.normal(size=(4, 8)).astype("float32")
    weights = []
    for strategy in (tf.distribute.get_strategy(), two_replicas()):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = keras.Sequential([keras.Input((8,)), LayerNorm(), FeedForward()])
            model.compile("sgd", "mse")
        model.fit(x, x, batch_size=4, epochs=3, verbose=0, shuffle=False)
        weights.append(model.get_weights())
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
