"""Layer norm: Keras's results in every form, and one operation on the CPU."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from keras_tnt.layers import LayerNorm
from keras_tnt.layers.layer_norm import decomposed_layer_norm


def pair(shape, rng, **arguments):
    """Our layer and Keras's, with the same weights."""
    layers = (
        LayerNorm(**arguments),
        keras.layers.LayerNormalization(epsilon=1e-5, **arguments),
    )
    values = [rng.normal(size=shape[-1]).astype("float32") for _ in range(2)]
    for layer in layers:
        layer.build(shape)
        layer.set_weights(values)
    return layers


def graph(layer, shape, dtype="float32", **options):
    spec = tf.TensorSpec(shape, dtype)
    return tf.function(layer.__call__, [spec], autograph=False, **options)


def operations(function):
    return {
        node.type for node in function.get_concrete_function().graph.get_operations()
    }


@pytest.mark.parametrize("shape", [(6, 8), (2, 5, 8), (2, 3, 4, 8)], ids=str)
@pytest.mark.parametrize("dynamic", [False, True])
def test_equals_keras(shape, dynamic, rng):
    ours, kerass = pair(shape, rng)
    images = tf.constant(rng.normal(3, 2, shape), tf.float32)
    function = graph(ours, (None, *shape[1:]) if dynamic else shape)
    np.testing.assert_allclose(function(images), kerass(images), atol=1e-5)
    np.testing.assert_allclose(ours(images), kerass(images), atol=1e-5)


def test_gradients_equal_keras(rng):
    ours, kerass = pair((2, 5, 8), rng)
    images = tf.constant(rng.normal(3, 2, (2, 5, 8)), tf.float32)
    weights = rng.normal(size=images.shape)
    found = []
    for layer in (ours, kerass):
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.reduce_sum(layer(images) * weights)
        found.append(tape.gradient(loss, [images, *layer.trainable_weights]))
    for gradient, expected in zip(*found, strict=True):
        np.testing.assert_allclose(gradient, expected, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_half_precision_is_computed_in_float32(policy, rng):
    ours, kerass = pair((2, 5, 8), rng, dtype=policy)
    images = tf.cast(rng.normal(3, 2, (2, 5, 8)), ours.compute_dtype)
    assert ours(images).dtype == ours.compute_dtype
    np.testing.assert_array_equal(
        *[tf.cast(layer(images), "float32") for layer in (ours, kerass)]
    )


def test_a_large_mean_does_not_drown_the_variance(rng):
    ours, _ = pair((4, 64), rng)
    images = rng.normal(3000, 1, (4, 64)).astype("float32")
    exact = images.astype("float64")
    exact -= exact.mean(axis=-1, keepdims=True)
    exact /= np.sqrt(exact.var(axis=-1, keepdims=True) + 1e-5)
    exact = exact * ours.gamma.numpy() + ours.beta.numpy()
    np.testing.assert_allclose(graph(ours, (None, 64))(images), exact, atol=1e-2)


def test_under_xla(rng):
    ours, kerass = pair((2, 5, 8), rng)
    images = tf.constant(rng.normal(1, 2, (2, 5, 8)), tf.float32)
    compiled = graph(ours, (2, 5, 8), jit_compile=True)
    np.testing.assert_allclose(compiled(images), kerass(images), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [({"axis": 1}, "float32"), ({"axis": (1, 2)}, "float32"), ({}, "float64")],
)
def test_what_cannot_be_fused_is_left_to_keras(arguments, dtype, rng):
    layer = LayerNorm(dtype=dtype, **arguments)
    layer.build((2, 5, 8))
    function = graph(layer, (None, 5, 8), dtype)
    assert "FusedBatchNormV3" not in operations(function)
    assert function(tf.ones((2, 5, 8), dtype)).shape == (2, 5, 8)


def test_other_runtimes_get_the_formula(rng):
    ours, kerass = pair((2, 5, 8), rng)
    images = tf.constant(rng.normal(size=(2, 5, 8)), tf.float32)
    assert "FusedBatchNormV3" in operations(graph(ours, (None, 5, 8)))
    with decomposed_layer_norm():
        assert "FusedBatchNormV3" not in operations(graph(ours, (None, 5, 8)))
        np.testing.assert_allclose(ours(images), kerass(images), atol=1e-5)
    assert "FusedBatchNormV3" in operations(graph(ours, (None, 5, 8)))


def executed(function, *inputs):
    """The types of the operations that TensorFlow ran, after its graph optimizer."""
    function(*inputs)
    directory = Path("profile")
    with tf.profiler.experimental.Profile(str(directory)):
        function(*inputs)
    space = xplane_pb2.XSpace()
    space.ParseFromString(next(directory.rglob("*.xplane.pb")).read_bytes())
    return {
        event.name.rpartition(":")[2]
        for plane in space.planes
        for event in plane.event_metadata.values()
    }


def has_onednn_norm():
    """Whether TensorFlow's oneDNN operations are in use: on x86 with these."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_vnni" in flags or "avx_vnni" in flags


@pytest.mark.skipif(not has_onednn_norm(), reason="TensorFlow uses no oneDNN here")
@pytest.mark.parametrize("batch", [2, None])
def test_is_one_operation(batch, rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours, _ = pair((2, 5, 8), rng)
    images = tf.constant(rng.normal(size=(2, 5, 8)), tf.float32)
    found = executed(graph(ours, (batch, 5, 8)), images)
    assert "_MklLayerNorm" in found
    assert not found & {"Mul", "AddV2", "_MklNativeFusedBatchNormV3", "Rsqrt"}
