"""Faults that `keras_tnt.compat.operations` works around."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.compat import operations
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
