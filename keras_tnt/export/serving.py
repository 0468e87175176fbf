"""Files next to a SavedModel for TensorFlow Serving and its operators."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_tnt._version import __version__
from keras_tnt.utils.lazy import tensorflow as tf


def write_warm_up(
    directory: Path,
    name: str,
    signatures: dict[str, Any],
    batch_sizes: Sequence[int],
    image_shape: tuple[int, int, int],
) -> None:
    """Write requests that TensorFlow Serving runs before it accepts others.

    ``serving_default`` runs at every batch size, the other signatures once: that
    builds their graphs, and they share the kernels of the first.

    Args:
        directory: directory of the SavedModel.
        name: name of the model.
        signatures: the `tf.function` of each signature, with one input.
        batch_sizes: sizes of the batches that the server forms.
        image_shape: ``(height, width, channels)`` of images as pixels.
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
                else:  # a single number fills the tensor
                    shape = (batch, *image_shape)
                    value = tf.make_tensor_proto(0, spec.dtype, shape)
                writer.write(_prediction_log(name, signature, spec.name, value))


def _prediction_log(name, signature, input_name, value):
    """Encode a ``tensorflow.serving.PredictionLog`` with a predict request.

    Its few fields have one wire type, so this needs no further package.
    """
    model_spec = _field(1, name.encode()) + _field(3, signature.encode())
    tensor = _field(1, input_name.encode()) + _field(2, value.SerializeToString())
    request = _field(1, model_spec) + _field(2, tensor)
    return _field(6, _field(1, request))  # predict_log { request { … } }


def _field(number, value):
    """A length-delimited field of a protocol buffer."""
    length, encoded = len(value), bytearray([number << 3 | 2])
    while length > 127:
        encoded.append(length & 127 | 128)
        length >>= 7
    return bytes([*encoded, length]) + value


def write_batching_parameters(directory: Path, batch_sizes: Sequence[int]) -> None:
    """Write the file that ``--enable_per_model_batching_parameters`` reads."""
    lines = [
        f"max_batch_size {{ value: {batch_sizes[-1]} }}",
        "batch_timeout_micros { value: 5000 }",
        "max_enqueued_batches { value: 100 }",
        *[f"allowed_batch_sizes: {size}" for size in batch_sizes],
    ]
    (directory / "batching_params.pbtxt").write_text(
        "\n".join(lines) + "\n", encoding="utf-8"
    )


def write_metadata(directory: Path, model: keras.Model, record: dict[str, Any]) -> None:
    """Write ``metadata.json`` with the record's entries, versions and checksum."""
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
    """Return the SHA-256 of the bytes of a model's weights, in order."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()
