"""The files beside a SavedModel that TensorFlow Serving and its operators read."""

import hashlib
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_tnt._version import __version__


def write_warm_up(
    directory: Path, name: str, signatures: dict[str, Any], batch_sizes: Sequence[int]
) -> None:
    """Writes requests that TensorFlow Serving runs before it takes others.

    ``serving_default`` is run at every batch size, the other signatures once: their
    graphs are built, and the kernels are those of the first.

    Args:
        directory: directory of the SavedModel.
        name: name of the model.
        signatures: `tf.function` of each signature, of one input.
        batch_sizes: the sizes of batches that the server makes.
    """
    target = directory / "assets.extra" / "tf_serving_warmup_requests"
    target.parent.mkdir()
    image = tf.io.encode_jpeg(tf.zeros((256, 256, 3), tf.uint8)).numpy()
    with tf.io.TFRecordWriter(str(target)) as writer:
        for signature, function in signatures.items():
            (spec,) = function.input_signature
            is_default = signature == "serving_default"
            for batch in batch_sizes if is_default else batch_sizes[:1]:
                if spec.dtype == tf.string:
                    value = tf.make_tensor_proto([image] * batch)
                else:  # one number stands for all
                    shape = (batch, *spec.shape[1:])
                    value = tf.make_tensor_proto(0, spec.dtype, shape)
                writer.write(_prediction_log(name, signature, spec.name, value))


def _prediction_log(name, signature, input_name, value):
    """Encodes a ``tensorflow.serving.PredictionLog`` with a predict request.

    Its few fields are all of one kind, so this needs no package for them.
    """
    model_spec = _field(1, name.encode()) + _field(3, signature.encode())
    tensor = _field(1, input_name.encode()) + _field(2, value.SerializeToString())
    request = _field(1, model_spec) + _field(2, tensor)
    return _field(6, _field(1, request))  # predict_log { request { … } }


def _field(number, value):
    """A protocol buffer's field of bytes: number and kind, length, bytes."""
    length, encoded = len(value), bytearray([number << 3 | 2])
    while length > 127:
        encoded.append(length & 127 | 128)
        length >>= 7
    return bytes([*encoded, length]) + value


def write_batching_parameters(directory: Path, batch_sizes: Sequence[int]) -> None:
    """Writes what ``--enable_per_model_batching_parameters`` reads."""
    lines = [
        f"max_batch_size {{ value: {batch_sizes[-1]} }}",
        "batch_timeout_micros { value: 5000 }",
        "max_enqueued_batches { value: 100 }",
        *[f"allowed_batch_sizes: {size}" for size in batch_sizes],
    ]
    (directory / "batching_params.pbtxt").write_text("\n".join(lines) + "\n")


def write_metadata(directory: Path, model: keras.Model, record: dict[str, Any]) -> None:
    """Writes what an operator wants to know of a model, with the record's entries."""
    metadata = {
        "variant": model.name,
        "parameters": model.count_params(),
        **record,
        "weights_sha256": weights_checksum(model),
        "versions": {
            "keras_tnt": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
        },
    }
    text = json.dumps(metadata, indent=2, ensure_ascii=False)
    (directory / "metadata.json").write_text(text + "\n", encoding="utf-8")


def weights_checksum(model: keras.Model) -> str:
    """SHA-256 of a model's weights: of their bytes, in order."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()
