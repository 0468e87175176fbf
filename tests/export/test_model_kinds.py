"""Models as users build them: Sequential, subclassed, of open size, not built."""

import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt.cli import main
from keras_tnt.export import comparison, export_model
from keras_tnt.export.load_exported import find_format, load_exported
from keras_tnt.export.validation import as_functional, choose_image_size
from tests.helpers.classifiers import SHAPE, body, functional, images, subclassed
from tests.helpers.runtimes import need_runtime
from tests.helpers.small import dense_classifier

L, ops = keras.layers, keras.ops


def sequential():
    return keras.Sequential([keras.Input(SHAPE), body(), L.Dense(3, "softmax")])


def not_built():
    return keras.Sequential([L.Rescaling(1.0), body(), L.Dense(3, "softmax")])


def built_by_a_call():
    model = not_built()
    model(images(1))
    return model


def after_resizing():
    inputs = keras.Input((None, None, 3))
    features = body()(L.Resizing(32, 32)(inputs))
    return keras.Model(inputs, L.Dense(3, "softmax")(features))


def resizing_in_sequential():
    layers = [keras.Input((None, None, 3)), L.Resizing(32, 32), body()]
    return keras.Sequential([*layers, L.Dense(3, "softmax")])


MODELS = {
    "operation": lambda: functional(lambda x: ops.softmax(L.Dense(3)(x))),
    "sequential": sequential,
    "built by a call": built_by_a_call,
    "after resizing": after_resizing,
    "resizing in sequential": resizing_in_sequential,
    "subclassed": lambda: subclassed("softmax"),
    "subclassed, logits": subclassed,
}


QUICK = ("sequential", "subclassed, logits")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind in QUICK else pytest.mark.slow)
        for kind in MODELS
    ],
)
def test_export_saved_model__every_kind_of_model(kind, tmp_path):
    model = MODELS[kind]()
    names = ["ant", "bee", "cat"]
    path = keras_tnt.export_saved_model(model, tmp_path / "m", names, batch_sizes=(1,))
    signatures = tf.saved_model.load(path).signatures
    expected = model(images(), training=False)
    found = signatures["predict_images"](images=tf.constant(images()))
    answer = "logits" if kind.endswith("logits") else "probabilities"
    np.testing.assert_allclose(found[answer], expected, atol=1e-5)
    np.testing.assert_allclose(
        ops.softmax(found["logits"]), found["probabilities"], atol=1e-5
    )
    image = tf.cast(images(1)[0], tf.uint8)
    served = signatures["serving_default"](
        image_bytes=tf.stack([tf.io.encode_png(image), b"no image"])
    )
    scores = ops.convert_to_numpy(
        model(keras_tnt.preprocess_input([image], SHAPE[:2]), training=False)
    )
    if answer == "logits":
        scores = ops.convert_to_numpy(ops.softmax(scores))
    np.testing.assert_allclose(served["scores"][0], np.sort(scores[0])[::-1], atol=1e-5)
    assert served["classes"][0, 0] == names[scores[0].argmax()].encode()
    assert served["scores"][1].numpy().tolist() == [0.0, 0.0, 0.0]
    assert served["ok"].numpy().tolist() == [True, False]


@pytest.mark.parametrize(
    "file_format",
    [
        "openvino",
        pytest.param("onnx", marks=pytest.mark.slow),
        pytest.param("litert", marks=pytest.mark.slow),
    ],
)
def test_export_model__every_kind_of_model(file_format, tmp_path):
    need_runtime(file_format)
    model = resizing_in_sequential()
    path = export_model(model, tmp_path / "m", file_format).path
    exported = load_exported(path, find_format(path)[0])
    assert exported.input_shape == (None, *SHAPE)
    assert exported.metadata.image_shape == SHAPE
    found = exported.predict_on_batch(images())
    np.testing.assert_allclose(found, model(images()), atol=1e-5)


def test_export_saved_model__open_size(tmp_path):
    model = after_resizing()
    path = keras_tnt.export_saved_model(model, tmp_path / "m", image_size=(40, 48))
    predict = tf.saved_model.load(path).signatures["predict_images"]
    large = images(2, (50, 60, 3))
    found = predict(images=tf.constant(large))["probabilities"]
    np.testing.assert_allclose(found, model(large), atol=1e-5)
    metadata = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["input"] == {"height": 40, "width": 48, "channels": 3}


def any_size():
    inputs = keras.Input((None, None, 3))
    pooled = L.GlobalAveragePooling2D()(L.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, L.Dense(3, "softmax")(pooled))


def test_choose_image_size__cases():
    assert choose_image_size(after_resizing(), None) == (32, 32)
    assert choose_image_size(as_functional(resizing_in_sequential()), None) == (32, 32)
    assert choose_image_size(any_size(), (8, 9)) == (8, 9)
    assert choose_image_size(dense_classifier(), None) == (32, 48)
    with pytest.raises(ValueError, match=r"any size.*image_size=\(height, width\)"):
        choose_image_size(any_size(), None)
    with pytest.raises(ValueError, match=r"size \(32, 48\), got image_size=\(8, 8\)"):
        choose_image_size(dense_classifier(), (8, 8))
    with pytest.raises(ValueError, match="two positive whole numbers, got"):
        choose_image_size(any_size(), (0, 8))


@pytest.mark.parametrize("export", [keras_tnt.export_saved_model, export_model])
def test_export_model__not_built(export, tmp_path):
    with pytest.raises(ValueError, match=r"has not been built.*keras\.Input"):
        export(not_built(), tmp_path / "m")
    assert os.listdir(tmp_path) == []


def test_export_command__sequential(tmp_path):
    sequential().save(tmp_path / "m.keras")
    arguments = ["export", "--model", str(tmp_path / "m.keras")]
    assert main([*arguments, "--out", str(tmp_path / "m")]) == 0
    assert find_format(tmp_path / "m")[0] == "savedmodel"


class OtherGraph(keras.Model):
    """A functional model whose own call does not compute its graph."""

    def call(self, inputs, training=None):
        return ops.flip(super().call(inputs, training=training), axis=1)


def test_as_functional__calls_the_model():
    base = dense_classifier()
    model = OtherGraph(base.input, base.output)
    batch = images(2, (32, 48, 3))
    np.testing.assert_array_equal(as_functional(model)(batch), base(batch)[:, ::-1])


def test_export_saved_model__mismatch_removes_output(tmp_path, monkeypatch):
    keras_tnt.export_saved_model(dense_classifier(), tmp_path / "m")
    monkeypatch.setitem(comparison.TOLERANCES, "float32", -1.0)
    with pytest.raises(RuntimeError, match=r"does not predict what.*Nothing was"):
        keras_tnt.export_saved_model(dense_classifier(), tmp_path / "m")
    assert os.listdir(tmp_path / "m") == ["1"]


def test_compare__a_batch_that_does_not_run(monkeypatch):
    class OneImage:
        def predict_on_batch(self, batch):
            if len(batch) > 1:
                raise ValueError("bad shape")
            return np.zeros((1, 7))

    monkeypatch.setattr(comparison, "load_exported", lambda path, kind: OneImage())
    batch = images(3, (32, 48, 3))
    with pytest.raises(RuntimeError, match=r"batches of 1 and 2 images: bad shape"):
        comparison.compare(None, "onnx", dense_classifier(), batch, "float32")
