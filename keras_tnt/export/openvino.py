"""OpenVINO's intermediate representation, a directory with an XML file and weights."""

import contextlib
import sys
from pathlib import Path

import keras
import numpy as np

from keras_tnt.compat.converters import disable_openvino_telemetry
from keras_tnt.export.exported_model import ExportedModel, prediction_function, require
from keras_tnt.export.metadata import ExportMetadata

MODEL = "model.xml"  # beside it model.bin
METADATA = "keras_tnt"
HINTS = {"float32": "f32", "bfloat16": "bf16"}  # OpenVINO's names, by precision


def write_openvino(
    model: keras.Model,
    path: Path,
    metadata: ExportMetadata,
    calibration: np.ndarray | None = None,
) -> None:
    """Write a directory for OpenVINO with a dynamic batch, and size if it is open.

    Args:
        model: a float32 classifier.
        path: the directory, which is created.
        metadata: the metadata of the XML file. Its precision is ``"float32"``;
            ``"bfloat16"``, the same file, which `load_openvino` computes in that;
            ``"float16"`` storage of the weights; or ``"int8"``, NNCF's quantization for
            transformers.
        calibration: for int8, images at the model's size.
    """
    openvino = _require("openvino")
    converted = openvino.convert_model(prediction_function(model))
    if metadata.precision == "int8" and calibration is not None:
        nncf = _require("nncf")
        images = np.split(calibration, len(calibration))
        with contextlib.redirect_stdout(sys.stderr):  # progress bars
            converted = nncf.quantize(
                converted,
                nncf.Dataset(images),
                subset_size=len(images),
                model_type=nncf.ModelType.TRANSFORMER,
                # Without it, products saturate on processors without VNNI.
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix="enable"
                ),
            )
    converted.set_rt_info(metadata.to_json(), METADATA)
    openvino.save_model(
        converted, path / MODEL, compress_to_fp16=metadata.precision == "float16"
    )


def load_openvino(path: Path) -> ExportedModel:
    """Load a model of OpenVINO, to run on the CPU.

    Args:
        path: the XML file, or a directory with one.

    Returns:
        An `ExportedModel`.

    Raises:
        ValueError: if the file is damaged or not an image classifier.
    """
    openvino = _require("openvino")
    path = Path(path)
    if path.is_dir():
        path = path / MODEL
    try:
        model = openvino.Core().read_model(path)
        metadata = None
        if model.has_rt_info(METADATA):
            metadata = ExportMetadata.from_json(model.get_rt_info(METADATA).value)
        # OpenVINO computes in bfloat16 by default where the CPU can.
        hint = HINTS.get(metadata.precision if metadata else "float32")
        settings = {"INFERENCE_PRECISION_HINT": hint} if hint else {}
        compiled = openvino.compile_model(model, "CPU", settings)
        shapes = [
            _shape(tensor) for tensor in (compiled.inputs[0], compiled.outputs[0])
        ]
    except RuntimeError as error:
        raise ValueError(f"{str(path)!r} is not a complete model: {error}") from error

    def predict(images):
        return compiled(np.asarray(images))[0]

    return ExportedModel(
        input_shape=shapes[0],
        output_shape=shapes[1],
        predict_on_batch=predict,
        metadata=metadata,
    )


def _shape(tensor):
    sides = [
        side.get_length() if side.is_static else None for side in tensor.partial_shape
    ]
    return (None, *sides[1:])


def _require(module):
    disable_openvino_telemetry()
    return require(module)
