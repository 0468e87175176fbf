"""Detecting the format of an exported model, and loading it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from keras_tnt.export import litert, openvino
from keras_tnt.export.exported_model import INPUT, OUTPUT, ExportedModel
from keras_tnt.export.litert import load_litert
from keras_tnt.export.metadata import ExportMetadata
from keras_tnt.export.onnx import load_onnx
from keras_tnt.export.openvino import load_openvino
from keras_tnt.utils.lazy import tensorflow as tf

SAVED_MODEL = "saved_model.pb"
# An ONNX file starts with a small version, followed by one of these fields.
ONNX_FIELDS = {field << 3 | 2 for field in (2, 3, 4, 6, 7, 8, 14)} | {5 << 3}


def find_format(path: Path) -> tuple[str | None, Path]:
    """Detect the format of a model from its content, not from its name.

    Args:
        path: a file or directory.

    Returns:
        A pair of the format, ``"keras"``, ``"savedmodel"``, ``"onnx"``, ``"litert"`` or
        ``"openvino"``, and the path to load: the newest version of a SavedModel,
        otherwise ``path``; or ``(None, path)`` for anything else.
    """
    if path.is_dir():
        if (path / openvino.MODEL).is_file():
            return "openvino", path
        versions = [entry for entry in path.iterdir() if entry.name.isdecimal()]
        for directory in (path, *sorted(versions, key=lambda v: int(v.name))[::-1]):
            if (directory / SAVED_MODEL).is_file():
                return "savedmodel", directory
        return None, path
    with path.open("rb") as file:
        head = file.read(512)
    if head[4:8] == litert.IDENTIFIER:
        return "litert", path
    if head.startswith(b"PK") or zipfile.is_zipfile(path):
        return "keras", path
    if head.lstrip().startswith((b"<?xml", b"<net")) and b"<net" in head:
        return "openvino", path
    if len(head) > 2 and head[0] == 1 << 3 and head[1] < 32 and head[2] in ONNX_FIELDS:
        return "onnx", path
    return None, path


def load_exported(path: Path, file_format: str) -> ExportedModel:
    """Load an exported model in its own runtime.

    Args:
        path: the path from `find_format`.
        file_format: the format from `find_format`; not ``"keras"``.

    Returns:
        A `keras_tnt.export.exported_model.ExportedModel`.

    Raises:
        ImportError: if the runtime of the format is not installed.
        ValueError: if the file is damaged or not an image classifier.
    """
    load = {
        "savedmodel": load_saved_model,
        "onnx": load_onnx,
        "litert": load_litert,
        "openvino": load_openvino,
    }[file_format]
    return load(path)


def load_saved_model(path: Path) -> ExportedModel:
    """Load the signature ``predict_images`` of a SavedModel.

    Args:
        path: the directory of the version.

    Returns:
        An `ExportedModel`.

    Raises:
        ValueError: if the SavedModel is damaged or has no such signature.
    """
    try:
        signatures = tf.saved_model.load(path).signatures
    except (OSError, tf.errors.OpError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is not a complete model: {error}") from error
    if "predict_images" not in signatures:
        raise ValueError(
            f"{str(path)!r} was not exported by keras_tnt: its signatures are "
            f"{sorted(signatures)}, expected predict_images."
        )
    predict = signatures["predict_images"]
    spec = predict.structured_input_signature[1][INPUT]
    metadata = _saved_model_metadata(path)
    shape = tuple(spec.shape)
    if metadata is not None:  # the signature may take any size
        shape = (None, *metadata.image_shape)
    return ExportedModel(
        input_shape=shape,
        output_shape=tuple(predict.structured_outputs[OUTPUT].shape),
        predict_on_batch=lambda images: predict(**{INPUT: tf.cast(images, tf.float32)})[
            OUTPUT
        ].numpy(),
        metadata=metadata,
    )


def _saved_model_metadata(path):
    record, labels = path / "metadata.json", path / "assets" / "labels.txt"
    if not (record.is_file() and labels.is_file()):
        return None
    text = record.read_text(encoding="utf-8")
    names = labels.read_text(encoding="utf-8").splitlines()
    return ExportMetadata.from_json(json.dumps({**json.loads(text), "labels": names}))
