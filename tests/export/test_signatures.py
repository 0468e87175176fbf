"""What the signatures answer: logits, features, any head, the same each time."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt.export.signatures import Signatures
from keras_tnt.layers import fused_ops
from tests.helpers.small import pixels, small, small_pyramid


def signatures(model, top_k=2, **options):
    """The signatures of a model, without a SavedModel around them."""
    labels = [str(index) for index in range(model.output_shape[-1])]
    return Signatures(model, labels, top_k, crop_fraction=0.9, **options).functions


def softmax(logits):
    return np.asarray(keras.ops.softmax(logits))


def images_of(model, batch=3):
    return tf.constant(pixels(model, batch), tf.float32)


def test_signatures__logits_of_head(color):
    images = images_of(color.model)
    found = color.signatures["predict_images"](images=images)
    np.testing.assert_allclose(found["logits"], color.live("logits", images), atol=1e-5)
    np.testing.assert_allclose(
        keras.ops.log_softmax(found["logits"]),
        np.log(found["probabilities"]),
        atol=1e-5,
    )


def test_signatures__model_with_logits():
    model = small(depth=1, classifier_activation=None)
    images = images_of(model)
    found = signatures(model)["predict_images"](images)
    np.testing.assert_allclose(found["logits"], model(images), atol=1e-5)
    np.testing.assert_allclose(
        found["probabilities"], softmax(model(images)), atol=1e-6
    )


def test_signatures__norms_for_any_device(color):
    """The live model's norm, which TensorFlow fuses on CPUs, is slow on GPUs."""
    images = tf.TensorSpec((None, *color.model.input_shape[1:]))
    live = tf.function(lambda x: color.model(x, training=False), [images])
    assert "FusedBatchNormV3" in str(live.get_concrete_function().graph.as_graph_def())
    saved = tf.saved_model.load(color.path).signatures["predict_images"]
    assert "FusedBatchNormV3" not in str(saved.graph.as_graph_def())


@pytest.mark.parametrize("has_gpu", [False, True])
def test_signatures__norms_for_cpus(has_gpu, monkeypatch):
    """Wherever the SavedModel is written."""
    monkeypatch.setattr(fused_ops, "runs_on_cpu_only", lambda: not has_gpu)
    model = small(depth=1)
    predict = signatures(model, for_cpus=True)["predict_images"]
    graph = predict.get_concrete_function().graph.as_graph_def()
    assert "FusedBatchNormV3" in str(graph)
    images = images_of(model)
    found = predict(images)["probabilities"]
    np.testing.assert_allclose(found, model(images), atol=1e-5)


def test_signatures__features(exported):
    images = images_of(exported.model)
    found = exported.signatures["features"](images=images)
    assert {name: value.dtype for name, value in found.items()} == {
        "embedding": tf.float32,
        "feature_map": tf.float32,
    }
    for name, value in found.items():
        np.testing.assert_allclose(value, exported.live(name, images), atol=1e-5)


def test_signatures__uint8_equals_float(exported):
    images = pixels(exported.model)
    found = exported.signatures["predict_images_uint8"](images=tf.constant(images))
    expected = exported.signatures["predict_images"](
        images=tf.constant(images, tf.float32)
    )
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_signatures__float32_from_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = small(depth=1)
    images = images_of(model)
    for name in ("predict_images", "features"):
        outputs = signatures(model)[name](images)
        assert {value.dtype for value in outputs.values()} == {tf.float32}
    assert model.get_layer("norm").output.dtype == "bfloat16"


def test_signatures__other_activations():
    model = small(depth=1, classifier_activation="sigmoid")
    images = images_of(model)
    found = signatures(model)["predict_images"](images)
    np.testing.assert_allclose(found["probabilities"], model(images), atol=1e-5)
    np.testing.assert_allclose(
        keras.ops.sigmoid(found["logits"]), found["probabilities"], atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:(Layer .* does not have a|.model.quantize):UserWarning"
)
def test_signatures__quantized_head():
    model = small(depth=1)
    model.quantize("int8")
    images = images_of(model)
    found = signatures(model)["predict_images"](images)
    np.testing.assert_allclose(found["probabilities"], model(images), atol=1e-5)
    np.testing.assert_allclose(softmax(found["logits"]), model(images), atol=1e-5)


def test_signatures__fine_tuned_head():
    base = small(depth=1, include_top=False, pooling="token")
    model = keras.Model(base.input, keras.layers.Dense(2, "softmax")(base.output))
    images = images_of(model)
    functions = signatures(model)
    found = functions["predict_images"](images)
    np.testing.assert_allclose(found["probabilities"], model(images), atol=1e-5)
    np.testing.assert_allclose(softmax(found["logits"]), model(images), atol=1e-5)
    embedding = functions["features"](images)["embedding"]
    np.testing.assert_allclose(embedding, base(images), atol=1e-5)


@pytest.mark.parametrize("activation", ["softmax", None])
def test_signatures__nested_model_has_no_features(activation):
    inner = small(depth=1, classifier_activation=activation)
    model = keras.Sequential([keras.Input((32, 48, 3)), inner])
    images = images_of(model)
    functions = signatures(model)
    assert sorted(functions) == [
        "predict_images",
        "predict_images_uint8",
        "serving_default",
    ]
    found = functions["predict_images"](images)
    outputs = model(images).numpy()
    probabilities = outputs if activation else softmax(outputs)
    np.testing.assert_allclose(found["probabilities"], probabilities, atol=1e-5)
    np.testing.assert_allclose(softmax(found["logits"]), probabilities, atol=1e-5)


def test_signatures__finite_logits_of_zero_probability():
    images = keras.Input((32, 48, 3))
    sums = keras.layers.GlobalAveragePooling2D()(images)
    inner = keras.Model(images, keras.layers.Activation("softmax")(1e6 * sums))
    model = keras.Sequential([keras.Input((32, 48, 3)), inner])
    found = signatures(model)["predict_images"](images_of(model))
    assert found["probabilities"].numpy().min() == 0
    assert np.isfinite(found["logits"]).all()


L, ops = keras.layers, keras.ops
# What follows the features, whether the model returns logits, and their activation.
HEADS = {
    "operation": (lambda x: ops.softmax(L.Dense(3)(x)), False),
    "layer": (lambda x: L.Softmax()(L.Dense(3)(x)), False),
    "activation": (lambda x: L.Activation("softmax")(L.Dense(3)(x)), False),
    "temperature": (lambda x: ops.softmax(L.Dense(3)(x) / 0.5), False),
    "cast": (lambda x: ops.cast(L.Dense(3, "softmax")(x), "float32"), False),
    "softmax twice": (lambda x: ops.softmax(L.Dense(3, "softmax")(x)), False),
    "ensemble": (lambda x: L.Average()([L.Dense(3, "softmax")(x)] * 2), False),
    "own function": (lambda x: L.Dense(3, lambda s: ops.softmax(2 * s))(x), False),
    "logits": (L.Dense(3), True),
    "scaled logits": (lambda x: 7 * L.Dense(3)(x), True),
    "log softmax": (lambda x: ops.log_softmax(L.Dense(3)(x)), True),
}


def classifier(head, nesting=0):
    """A classifier that is traced quickly, ``nesting`` models deep."""
    images = keras.Input((8, 8, 3))
    features = L.Flatten()(L.Rescaling(1 / 255)(images))
    model = keras.Model(images, head(features))
    for _ in range(nesting):
        images = keras.Input((8, 8, 3))
        model = keras.Model(images, model(images))
    return model


@pytest.mark.parametrize("nesting", [0, 2])
@pytest.mark.parametrize("kind", HEADS)
def test_signatures__probabilities_and_logits_from_graph(kind, nesting):
    head, gives_logits = HEADS[kind]
    model = classifier(head, nesting)
    images = images_of(model)
    found = signatures(model)["predict_images"](images)
    if gives_logits:
        np.testing.assert_allclose(found["logits"], model(images), atol=1e-5)
    else:
        np.testing.assert_allclose(found["probabilities"], model(images), atol=1e-6)
    np.testing.assert_allclose(
        softmax(found["logits"]), found["probabilities"], atol=1e-6
    )


@pytest.mark.parametrize("nesting", [0, 1])
def test_signatures__sigmoid(nesting):
    model = classifier(lambda x: ops.sigmoid(L.Dense(3)(x)), nesting)
    images = images_of(model)
    found = signatures(model)["predict_images"](images)
    np.testing.assert_allclose(found["probabilities"], model(images), atol=1e-6)
    np.testing.assert_allclose(
        ops.sigmoid(found["logits"]), found["probabilities"], atol=1e-6
    )


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (L.Dense(3, "relu"), "ends in the activation relu"),
        (lambda x: ops.tanh(L.Dense(3)(x)), "ends in the activation tanh"),
        (lambda x: L.Dense(3, "softmax")(x) / 2, "no negative value and does not sum"),
    ],
)
def test_signatures__other_outputs(head, message):
    with pytest.raises(ValueError, match=message):
        signatures(classifier(head))


def test_signatures__features_before_operations():
    base = small(depth=1, include_top=False, pooling="token")
    scores = L.Dense(2)(base.output)
    model = keras.Model(base.input, ops.softmax(scores / 2))
    images = images_of(model)
    embedding = signatures(model)["features"](images)["embedding"]
    np.testing.assert_allclose(embedding, base(images), atol=1e-5)


def test_signatures__features_of_pyramid():
    model = small_pyramid()
    images = images_of(model)
    found = signatures(model)["features"](images)
    for name, pooling in (("embedding", "avg"), ("feature_map", None)):
        body = small_pyramid(include_top=False, pooling=pooling)
        body.set_weights(model.get_weights()[: len(body.weights)])
        np.testing.assert_allclose(found[name], body(images), atol=1e-4)


ANSWERS = """
import sys, numpy as np, tensorflow as tf
path, inputs, outputs = sys.argv[1:]
served = tf.saved_model.load(path).signatures
images = np.load(inputs)
files = tf.constant([tf.io.encode_png(image).numpy() for image in images])
answers = {
    **served["predict_images_uint8"](images=tf.constant(images)),
    **served["features"](images=tf.constant(images, tf.float32)),
    **served["serving_default"](image_bytes=files),
}
answers["classes"] = tf.strings.to_hash_bucket_fast(answers["classes"], 2**40)
np.savez(outputs, **{name: value.numpy() for name, value in answers.items()})
"""


@pytest.mark.processes
def test_signatures__two_exports_equal(color, tmp_path):
    """Each in a process of its own."""
    np.save(tmp_path / "images.npy", pixels(color.model, 7))
    again = keras_tnt.export_saved_model(color.model, tmp_path / "again", color.names)
    answers = []
    for number, path in enumerate([color.path, again]):
        outputs = tmp_path / f"{number}.npz"
        arguments = [path, tmp_path / "images.npy", outputs]
        subprocess.run([sys.executable, "-c", ANSWERS, *arguments], check=True)
        answers.append(dict(np.load(outputs)))
    assert len(answers[0]) == 8
    for name, value in answers[0].items():
        np.testing.assert_array_equal(answers[1][name], value, strict=True)
