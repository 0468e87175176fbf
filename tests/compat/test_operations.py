"""Faults that `keras_tnt.compat.operations` works around."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.compat import operations
from keras_tnt.utils.cpu import CPUINFO
from tests.helpers import graphs
from tests.helpers.faults import still_raises


def test_gelu_by_erf__still_present():
    onnx = pytest.importorskip("onnx")
    keras_gelu = graphs.traced(
        lambda x: keras.activations.gelu(x, approximate=False), (None,)
    )
    in_onnx = {schema.name for schema in onnx.defs.get_all_schemas()}
    assert graphs.operations(keras_gelu) - in_onnx >= {"Erfc"}, (
        "ONNX can express Keras's exact GELU: "
        "remove keras_tnt.compat.operations.gelu_by_erf"
    )


# Ends with 1 if the convolution is wrong; with a signal if it corrupted the heap.
CONVOLUTION = """
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
images = rng.normal(size=(8, 14, 14, 1)).astype("float16")
kernel = rng.normal(size=(7, 7, 1, 4)).astype("float16") / 7
pad = [(0, 0), (3, 3), (3, 3), (0, 0)]
padded = np.pad(images, pad).astype("float32")
exact = tf.nn.conv2d(padded, kernel.astype("float32"), 7, "VALID")
fused = tf.function(lambda x: tf.nn.conv2d(tf.pad(x, pad), kernel, 7, "VALID"))
difference = tf.cast(fused(images), tf.float32) - exact
raise SystemExit(int(not np.abs(difference).max() < 0.1))
"""


@graphs.needs_onednn
def test_crop_to_windows__still_present():
    if "avx512_fp16" not in CPUINFO.read_text():
        pytest.skip("this CPU has no AVX512-FP16")
    process = subprocess.run([sys.executable, "-c", CONVOLUTION], check=False)
    assert process.returncode, (
        "TensorFlow's convolution is right: "
        "remove keras_tnt.compat.operations.crop_to_windows"
    )


@pytest.mark.parametrize(
    ("side", "stride", "seen_side"),
    [(16, 1, 16), (16, 4, 16), (16, 5, 16), (14, 7, 11), (16, 8, 12), (32, 16, 20)],
)
def test_crop_to_windows__same_convolution(side, stride, seen_side, rng):
    images, kernel = rng.normal(size=(2, side, side, 1)), rng.normal(size=(7, 7, 1, 2))
    pad = [(0, 0), (3, 3), (3, 3), (0, 0)]
    seen = operations.crop_to_windows(images, 7, stride, 3)
    assert seen.shape == (2, seen_side, seen_side, 1)
    np.testing.assert_array_equal(
        tf.nn.conv2d(np.pad(seen, pad), kernel, stride, "VALID"),
        tf.nn.conv2d(np.pad(images, pad), kernel, stride, "VALID"),
    )


@graphs.needs_onednn
def test_onednn_layer_norm__still_present():
    layer = keras.layers.LayerNormalization(epsilon=1e-5)
    layer.build((None, 5, 8))
    function = graphs.traced(layer.__call__, (None, 5, 8))
    assert "_MklLayerNorm" not in graphs.executed(function, tf.ones((2, 5, 8))), (
        "TensorFlow fuses Keras's layer norm: "
        "remove keras_tnt.compat.operations.onednn_layer_norm"
    )


@graphs.needs_onednn
def test_onednn_layer_norm__placeholder_still_present(monkeypatch):
    monkeypatch.setattr(
        tf.raw_ops, "PlaceholderWithDefault", lambda input, shape: input
    )
    scale, offset = tf.range(8.0), tf.ones(8)
    function = graphs.traced(
        lambda x: operations.onednn_layer_norm(x, 1e-5) * scale + offset, (2, 5, 8)
    )
    assert "_MklLayerNorm" not in graphs.executed(function, tf.ones((2, 5, 8))), (
        "TensorFlow fuses a norm of static shape: remove PlaceholderWithDefault from "
        "keras_tnt.compat.operations.onednn_layer_norm"
    )


def openvino_layers(function):
    """The types of the layers that OpenVINO runs."""
    openvino = pytest.importorskip("openvino")
    converted = openvino.convert_model(graphs.traced(function, (None, 5, 8)))
    compiled = openvino.compile_model(converted, "CPU")
    nodes = compiled.get_runtime_model().get_ordered_ops()
    return {node.get_rt_info()["layerType"].astype(str) for node in nodes}


def test_primitive_layer_norm__still_present(rng):
    layer = keras.layers.LayerNormalization(epsilon=1e-5)
    layer.build((None, 5, 8))
    layer.set_weights([rng.normal(size=8), rng.normal(size=8)])

    def primitive(x):
        normalized = operations.primitive_layer_norm(x, [-1], 1e-5)
        return normalized * layer.gamma + layer.beta

    assert "MVN" in openvino_layers(primitive)
    assert "MVN" not in openvino_layers(layer), (
        "OpenVINO fuses Keras's layer norm: "
        "remove keras_tnt.compat.operations.primitive_layer_norm"
    )


def test_softmax__still_present():
    scores = np.ones((2, 1), "float32")
    workaround = "keras_tnt.compat.operations.softmax"
    with still_raises(UserWarning, "size 1", workaround):
        keras.ops.softmax(scores)
    np.testing.assert_array_equal(operations.softmax(tf.constant(scores)), scores)
