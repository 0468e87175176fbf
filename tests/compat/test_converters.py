"""Faults that `keras_tnt.compat.converters` works around."""

import logging
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.compat import converters
from keras_tnt.compat.operations import primitive_layer_norm
from tests.helpers import graphs


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def run_litert(content, inputs):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    runner = interpreter(model_content=content).get_signature_runner()
    (name,) = runner.get_input_details()
    (outputs,) = runner(**{name: inputs}).values()
    return outputs


def test_litert_converter__still_present(model, rng, tmp_path):
    inputs = rng.normal(size=(2, 4)).astype("float32")
    expected = model(inputs)
    function = graphs.traced(model, (None, 4))
    converter = converters.litert_converter(model, function, "predict", str(tmp_path))
    found = run_litert(converter.convert(), inputs)
    np.testing.assert_allclose(found, expected, atol=1e-5)

    concrete = function.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model)
    found = run_litert(converter.convert(), inputs)
    assert not np.allclose(found, expected, atol=1e-5), (
        "LiteRT converts functions of Keras models: "
        "remove keras_tnt.compat.converters.litert_converter"
    )


def test_ignore_litert_deprecation__still_present(model, tmp_path):
    function = graphs.traced(lambda x: model(x), (1, 4))
    converter = converters.litert_converter(model, function, "predict", str(tmp_path))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [{"x": np.ones((1, 4), "float32")}]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        converter.convert()
    assert any("tf.lite.Interpreter is dep" in str(one.message) for one in caught), (
        "LiteRT's converter does not warn of itself: "
        "remove keras_tnt.compat.converters.ignore_litert_deprecation"
    )


def test_keep_onnx_transposes__still_present(rng, monkeypatch):
    """A norm after a convolution that leaves one row."""
    tf2onnx, onnxruntime = map(pytest.importorskip, ("tf2onnx", "onnxruntime"))
    # It counts the names of nodes in a process, and optimizes in the order of names.
    monkeypatch.setattr("tf2onnx.utils.INTERNAL_NAME", 1)
    convolution = keras.layers.Conv2D(4, 2, strides=2)
    convolution.build((None, 2, 4, 3))
    function = graphs.traced(
        lambda x: primitive_layer_norm(convolution(x), -1, 1e-5), (None, 2, 4, 3)
    )
    inputs = rng.normal(size=(3, 2, 4, 3)).astype("float32")

    def run():
        graph, _ = tf2onnx.convert.from_function(
            function, function.input_signature, opset=18
        )
        session = onnxruntime.InferenceSession(
            graph.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return session.run(None, {session.get_inputs()[0].name: inputs})[0]

    with converters.keep_onnx_transposes():
        np.testing.assert_allclose(run(), function(inputs), atol=1e-5)
    try:
        is_right = np.allclose(run(), function(inputs), atol=1e-5)
    except Exception:  # onnxruntime's errors have no common base class
        is_right = False
    assert not is_right, (
        "tf2onnx moves transposes correctly: "
        "remove keras_tnt.compat.converters.keep_onnx_transposes"
    )


def test_optimize_onnx_in_place__still_present(rng, monkeypatch):
    tf2onnx, onnxruntime = map(pytest.importorskip, ("tf2onnx", "onnxruntime"))
    dense = keras.layers.Dense(3)
    dense.build((None, 4))
    function = graphs.traced(lambda x: keras.ops.relu(dense(x)) + 1, (None, 4))
    updates = []
    update_proto = tf2onnx.graph.Graph.update_proto

    def counted(graph, *arguments):
        updates.append(graph)
        update_proto(graph, *arguments)

    def convert():
        updates.clear()
        graph, _ = tf2onnx.convert.from_function(
            function, function.input_signature, opset=18
        )
        return graph

    monkeypatch.setattr(tf2onnx.graph.Graph, "update_proto", counted)
    with converters.optimize_onnx_in_place():
        session = onnxruntime.InferenceSession(
            convert().SerializeToString(), providers=["CPUExecutionProvider"]
        )
    assert len(updates) == 2
    assert tf2onnx.graph.Graph.update_proto is counted
    inputs = rng.normal(size=(3, 4)).astype("float32")
    (found,) = session.run(None, {session.get_inputs()[0].name: inputs})
    np.testing.assert_allclose(found, function(inputs), atol=1e-5)
    convert()
    assert len(updates) > 10, (
        "tf2onnx does not write all weights after each optimizer: "
        "remove keras_tnt.compat.converters.optimize_onnx_in_place"
    )


def test_ignore_preprocessing_advice__still_present(caplog, tmp_path):
    onnx = pytest.importorskip("onnx")
    quantization = pytest.importorskip("onnxruntime.quantization")
    weights = onnx.numpy_helper.from_array(np.ones((4, 3), "float32"), "w")
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", size])
        for name, size in (("x", 4), ("y", 3))
    )
    product = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([product], "graph", [x], [y], [weights])
    opset = onnx.helper.make_opsetid("", 18)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)

    with caplog.at_level(logging.WARNING):
        quantization.quantize_dynamic(model, tmp_path / "model.onnx")
    assert "pre-processing" in caplog.text, (
        "ONNX Runtime gives no advice: "
        "remove keras_tnt.compat.converters.ignore_preprocessing_advice"
    )


def test_ignore_preprocessing_advice__keeps_what_was_disabled():
    logging.disable(logging.INFO)
    try:
        with converters.ignore_preprocessing_advice():
            assert logging.root.manager.disable == logging.WARNING
        assert logging.root.manager.disable == logging.INFO
    finally:
        logging.disable(logging.NOTSET)


def test_disable_openvino_telemetry__still_present():
    pytest.importorskip("openvino")
    script = "import sys, openvino; print('openvino_telemetry' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "True", (
        "OpenVINO does not load its telemetry: "
        "remove keras_tnt.compat.converters.disable_openvino_telemetry"
    )
