"""Converters of models to other formats."""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import keras

from keras_tnt.utils.lazy import tensorflow as tf


def litert_converter(
    model: keras.Model, function: Any, signature: str, directory: str
) -> tf.lite.TFLiteConverter:
    """Return a LiteRT converter for a function of a model, through a SavedModel.

    Fault: the converter accepts the function itself, but then the converted model
    returns wrong values or NaN.
    Issue: no issue known.
    Seen in: TensorFlow 2.21.0 (first and last version checked).

    Args:
        model: the model whose weights the function uses.
        function: a `tf.function` with an input signature.
        signature: name of the function in the file.
        directory: an empty directory, which must exist until the conversion ends.

    Returns:
        A `tf.lite.TFLiteConverter`.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(signature, function, function.input_signature)
    archive.write_out(directory, verbose=False)
    return tf.lite.TFLiteConverter.from_saved_model(
        directory, signature_keys=[signature]
    )


@contextlib.contextmanager
def ignore_litert_deprecation() -> Iterator[None]:
    """Hide the warning that the LiteRT converter causes by itself.

    Fault: with calibration data the converter uses `tf.lite.Interpreter`, which warns
    that it is deprecated.
    Issue: no issue known.
    Seen in: TensorFlow 2.21.0 (first and last version checked).
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(?s).*tf\.lite\.Interpreter is dep")
        yield


@contextlib.contextmanager
def keep_onnx_transposes() -> Iterator[None]:
    """Convert to ONNX without the optimizer of transposes.

    Fault: tf2onnx moves the transposes behind a convolution through the operations
    that follow. For a map with a single row or column the results have wrong shapes:
    the file does not load, or runs for one size of the batch only. ONNX Runtime removes
    superfluous transposes itself. Keras's own export does not show the fault, because
    it does not write layer norms as the primitive operations that the transposes are
    moved through.
    Issue: no issue known.
    Seen in: tf2onnx 1.17.0 (first and last version checked).
    """
    optimizers = importlib.import_module("tf2onnx.optimizer")._optimizers
    before = optimizers.copy()
    optimizers.pop("optimize_transpose", None)
    try:
        yield
    finally:
        optimizers.clear()
        optimizers.update(before)


@contextlib.contextmanager
def optimize_onnx_in_place() -> Iterator[None]:
    """Convert to ONNX without copying all weights for each optimizer.

    Fault: tf2onnx copies the graph before each of its optimizers, and afterwards writes
    all weights into the nodes' messages again, which do not free what they held. TNT-S
    takes 21 s instead of 9 s and 1.5 GB more, PyramidTNT-M takes more than 15 GB. The
    copies serve to skip an optimizer that fails; in place, it ends the conversion.
    Issue: no issue known.
    Seen in: tf2onnx 1.17.0 (first and last version checked).
    """
    optimizer: Any = importlib.import_module("tf2onnx.optimizer")
    graph_class = importlib.import_module("tf2onnx.graph").Graph
    optimize_graph, update_proto = optimizer.optimize_graph, graph_class.update_proto

    def in_place(graph, catch_errors=False, optimizers=None):
        graph_class.update_proto = lambda graph: None  # the conversion ends with it
        try:
            return optimize_graph(graph, catch_errors=False, optimizers=optimizers)
        finally:
            graph_class.update_proto = update_proto

    optimizer.optimize_graph = in_place
    try:
        yield
    finally:
        optimizer.optimize_graph = optimize_graph


@contextlib.contextmanager
def ignore_preprocessing_advice() -> Iterator[None]:
    """Hide the advice that ONNX Runtime's quantization logs.

    Fault: `quantize_dynamic` logs a warning that asks for a separate preprocessing
    pass, which would not change the result for our graphs.
    Issue: no issue known; the warning is intended.
    Seen in: ONNX Runtime 1.32.0 (first and last version checked).
    """
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)


def disable_openvino_telemetry() -> None:
    """Keep OpenVINO and NNCF from sending usage data; call before importing them.

    Fault: both packages report their use over the network by default. They do not if
    the package `openvino_telemetry` is missing.
    Issue: no issue known; the reports are intended.
    Seen in: OpenVINO 2026.4.1 and NNCF 3.4.0 (first and last versions checked).
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
