"""The files beside a SavedModel: parsed with TensorFlow Serving's own messages."""

import hashlib
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt.export.serving import weights_checksum
from keras_tnt.images import MAX_PIXELS
from tests.helpers.small import dense_classifier


def files(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*.*"))


def test_export_saved_model__layout(color):
    assert color.path.name == "1"
    assert color.path.parent.name == "pets"
    found = [file for file in files(color.path) if not file.startswith("variables")]
    assert found == [
        "assets.extra",
        "assets/labels.txt",
        "batching_params.pbtxt",
        "fingerprint.pb",
        "metadata.json",
        "saved_model.pb",
    ]
    # Nothing else is left in the model's directory, for the server looks at it.
    assert [entry.name for entry in color.path.parent.iterdir()] == ["1"]


def test_export_saved_model__labels_asset(color, tmp_path):
    labels = (color.path / "assets" / "labels.txt").read_text(encoding="utf-8")
    assert labels.splitlines() == color.names
    served = tf.saved_model.load(color.path)
    assert served.labels.asset_path.numpy().decode().endswith("assets/labels.txt")


def read_warm_up(path):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    file = str(path / "assets.extra" / "tf_serving_warmup_requests")
    records = [record.numpy() for record in tf.data.TFRecordDataset(file)]
    parsed = [logs.PredictionLog.FromString(record) for record in records]
    # What the package would have written is what we wrote.
    assert [log.SerializeToString(deterministic=True) for log in parsed] == records
    assert {log.WhichOneof("log_type") for log in parsed} == {"predict_log"}
    return [log.predict_log.request for log in parsed]


def test_write_warm_up__replayed(color):
    requests = read_warm_up(color.path)
    sizes = []
    for request in requests:
        assert request.model_spec.name == "pets"
        name = request.model_spec.signature_name
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        (batch,) = {len(value) for value in inputs.values()}
        sizes.append((name, batch))
        outputs = color.signatures[name](
            **{key: tf.constant(value) for key, value in inputs.items()}
        )
        assert {len(value) for value in outputs.values()} == {batch}
        if name == "serving_default":
            assert outputs["ok"].numpy().all()
    assert sizes == [
        *[("serving_default", batch) for batch in (1, 2, 4, 8, 16, 32)],
        ("predict_images", 1),
        ("predict_images_uint8", 1),
        ("features", 1),
    ]


def test_write_warm_up__batch_sizes(tmp_path):
    path = keras_tnt.export_saved_model(
        dense_classifier(2, input_shape=(8, 8, 3)), tmp_path / "m", batch_sizes=(3, 300)
    )
    sizes = {
        len(tf.make_ndarray(request.inputs["image_bytes"]))
        for request in read_warm_up(path)
        if request.model_spec.signature_name == "serving_default"
    }
    assert sizes == {3, 300}
    text = (path / "batching_params.pbtxt").read_text()
    assert re.findall(r"allowed_batch_sizes: (\d+)", text) == ["3", "300"]


def test_write_batching_parameters__values(color):
    """As TensorFlow Serving demands: sizes rise, the last one is the largest batch."""
    text = (color.path / "batching_params.pbtxt").read_text()
    lines = text.splitlines()
    field = re.compile(r"(\w+)(?:: (\d+)| { value: (\d+) })")
    parsed = [field.fullmatch(line).groups() for line in lines]
    sizes = [int(plain) for name, plain, _ in parsed if name == "allowed_batch_sizes"]
    wrapped = {name: int(value) for name, _, value in parsed if value}
    assert sizes == [1, 2, 4, 8, 16, 32]
    assert wrapped == {
        "max_batch_size": 32,
        "batch_timeout_micros": 5000,
        "max_enqueued_batches": 100,
    }


def test_write_metadata__values(color):
    metadata = json.loads((color.path / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["variant"] == "tnt"
    assert metadata["parameters"] == color.model.count_params()
    assert (metadata["name"], metadata["version"]) == ("pets", 1)
    assert metadata["license"] == "MIT"
    assert metadata["input"] == {"height": 32, "width": 48, "channels": 3}
    assert metadata["preprocessing"]["crop_fraction"] == 0.9
    assert metadata["preprocessing"]["box"] == [35, 53]
    assert metadata["preprocessing"]["max_pixels"] == MAX_PIXELS
    assert metadata["signatures"] == sorted(color.signatures)
    assert metadata["versions"]["keras"] == keras.__version__
    assert metadata["versions"]["keras_tnt"] == keras_tnt.__version__
    assert metadata["weights_sha256"] == weights_checksum(color.model)


def test_write_metadata__checksum():
    model = dense_classifier(2, input_shape=(8, 8, 3))
    model.set_weights([np.ones((192, 2)), np.arange(2)])
    data = np.ones(384, "<f4").tobytes() + np.arange(2, dtype="<f4").tobytes()
    assert weights_checksum(model) == hashlib.sha256(data).hexdigest()
    model.set_weights([np.ones((192, 2)), np.arange(2) + 1e-6])
    assert weights_checksum(model) != hashlib.sha256(data).hexdigest()
