"""ONNX files, run by onnxruntime."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_tnt.compat.converters import (
    ignore_preprocessing_advice,
    keep_onnx_transposes,
    optimize_onnx_in_place,
)
from keras_tnt.export.exported_model import (
    ExportedModel,
    prediction_function,
    require,
)
from keras_tnt.export.metadata import ExportMetadata

OPSET = 18
METADATA = "keras_tnt"


def write_onnx(
    model: keras.Model,
    path: Path,
    metadata: ExportMetadata,
) -> None:
    """Write a model as an ONNX file with a dynamic batch, and size if it is open.

    Args:
        model: a float32 classifier.
        path: the file.
        metadata: the metadata of the file. Its precision is ``"float32"``;
            ``"float16"`` except for norms and head; or ``"int8"`` weights of products,
            whose inputs are rounded to 8 bits as they come.
    """
    onnx, tf2onnx = require("onnx"), require("tf2onnx")
    function = prediction_function(model)
    with keep_onnx_transposes(), optimize_onnx_in_place():
        graph, _ = tf2onnx.convert.from_function(
            function, function.input_signature, opset=OPSET
        )
    for tensor in (*graph.graph.input, *graph.graph.output):
        names = ("batch", "height", "width")
        for name, side in zip(names, tensor.type.tensor_type.shape.dim, strict=False):
            if not side.HasField("dim_value"):
                side.dim_param = name
    if metadata.precision == "float16":
        graph = _in_float16(graph)
    elif metadata.precision == "int8":
        graph = _in_int8(graph)
    onnx.helper.set_model_props(graph, {METADATA: metadata.to_json()})
    onnx.save(graph, path)


def load_onnx(path: Path) -> ExportedModel:
    """Load an ONNX file, to run on the CPU.

    Args:
        path: the file.

    Returns:
        An `ExportedModel`.

    Raises:
        ValueError: if the file is damaged or not an image classifier.
    """
    onnxruntime = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    try:
        session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors have no common base class
        raise ValueError(
            f"{str(path)!r} is not a complete model file: {error}"
        ) from error
    (image, *_), (output, *_) = session.get_inputs(), session.get_outputs()

    def shape(tensor):  # a dynamic side has a name
        sides = [side if isinstance(side, int) else None for side in tensor.shape]
        return (None, *sides[1:])

    properties = session.get_modelmeta().custom_metadata_map
    metadata = properties.get(METADATA)

    def predict(images):
        return session.run([output.name], {image.name: np.asarray(images)})[0]

    return ExportedModel(
        input_shape=shape(image),
        output_shape=shape(output),
        predict_on_batch=predict,
        metadata=ExportMetadata.from_json(metadata) if metadata else None,
    )


def _in_float16(graph):
    """Norms and head stay in float32, as in Keras: squares would overflow."""
    float16 = require("onnxruntime.transformers.float16")
    kept = [
        node.name
        for node in graph.graph.node
        if "norm" in node.name or "predictions" in node.name
    ]
    return float16.convert_float_to_float16(
        graph, keep_io_types=True, node_block_list=kept
    )


def _in_int8(graph):
    """Products with weights; those of the attention stay in float32."""
    onnx, quantization = require("onnx"), require("onnxruntime.quantization")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.onnx"
        with ignore_preprocessing_advice():
            quantization.quantize_dynamic(
                graph,
                path,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                weight_type=quantization.QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True},
            )
        return onnx.load(path)
