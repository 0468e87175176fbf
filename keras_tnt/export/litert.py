"""LiteRT (formerly TensorFlow Lite) files, run by ai-edge-litert."""

import os
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np

from keras_tnt.compat.converters import ignore_litert_deprecation, litert_converter
from keras_tnt.export.exported_model import (
    ExportedModel,
    prediction_function,
    require,
)
from keras_tnt.export.metadata import ExportMetadata
from keras_tnt.utils.lazy import tensorflow as tf

IDENTIFIER = b"TFL3"  # bytes 4 to 8 of a file
SIGNATURE = "predict_images"
METADATA = "keras_tnt.json"


def write_litert(
    model: keras.Model,
    path: Path,
    metadata: ExportMetadata,
) -> None:
    """Write a model as a LiteRT file with a dynamic batch, and size if it is open.

    Args:
        model: a float32 classifier.
        path: the file.
        metadata: the metadata of the file. Its precision is ``"float32"``;
            ``"float16"`` storage of the weights; or ``"int8"`` weights of products,
            whose inputs are rounded to 8 bits as they come, with a scale for each row.
    """
    with tempfile.TemporaryDirectory() as directory:
        function = prediction_function(model)
        converter = litert_converter(model, function, SIGNATURE, directory)
        if metadata.precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if metadata.precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        with ignore_litert_deprecation():
            content = converter.convert()
    path.write_bytes(content)
    # Like LiteRT's own metadata: an archive behind the model, which stays unchanged.
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(zipfile.ZipInfo(METADATA), metadata.to_json())


def load_litert(path: Path) -> ExportedModel:
    """Load a LiteRT file.

    Args:
        path: the file.

    Returns:
        An `ExportedModel`.

    Raises:
        ValueError: if the file is damaged or has no signature.
    """
    interpreter = require("ai_edge_litert.interpreter").Interpreter
    try:
        model = interpreter(model_path=str(path), num_threads=os.cpu_count())
        runner = model.get_signature_runner()
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} is not a complete model file: {error}"
        ) from error
    (name, image), *_ = runner.get_input_details().items()
    (output, scores), *_ = runner.get_output_details().items()

    def shape(tensor):
        sides = [int(side) if side > 0 else None for side in tensor["shape_signature"]]
        return (None, *sides[1:])

    def predict(images):
        return runner(**{name: np.asarray(images)})[output]

    return ExportedModel(
        input_shape=shape(image),
        output_shape=shape(scores),
        predict_on_batch=predict,
        metadata=_read_metadata(path),
    )


def _read_metadata(path):
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as file:
        if METADATA not in file.namelist():
            return None
        return ExportMetadata.from_json(file.read(METADATA))
