"""Teachers: what is loaded, what is refused, and the logits of the rest."""

import keras
import numpy as np
import pytest

from keras_tnt import models, save_upstream_weights
from keras_tnt.images import imagenet_classes
from keras_tnt.training import RunDirectory
from keras_tnt.training.teacher import (
    Teacher,
    find_teacher,
    load_teacher,
    log_probabilities,
    logits_function,
)
from tests.helpers.classifiers import SHAPE, functional, images, subclassed, tnt
from tests.helpers.small import dense_classifier, randomised
from tests.helpers.toy import toy_recipe

L = keras.layers
NAMES = ["ant", "bee", "cat"]


def logits_of(model, names=None, classes=NAMES, shape=SHAPE):
    return logits_function(Teacher(model, names), classes, shape)(images(shape=shape))


def test_logits_function__softmax_of_the_builders():
    """The softmax is undone: as of the model without it, up to a constant."""
    model = randomised(tnt())
    plain = tnt(classifier_activation=None)
    plain.set_weights(model.get_weights())
    expected = keras.ops.log_softmax(plain(images()))
    np.testing.assert_allclose(logits_of(model), expected, atol=1e-5)
    np.testing.assert_allclose(logits_of(plain), plain(images()), atol=1e-5)


@pytest.mark.parametrize(
    "build",
    [
        lambda: functional(lambda x: L.Softmax()(L.Dense(3)(x))),
        lambda: functional(lambda x: keras.ops.softmax(L.Dense(3)(x))),
        lambda: keras.Sequential([keras.Input(SHAPE), tnt()]),
        lambda: subclassed("softmax"),
    ],
)
def test_logits_function__every_kind_of_softmax(build):
    model = build()
    np.testing.assert_allclose(
        keras.ops.softmax(logits_of(model)), model(images()), atol=1e-6
    )


def test_log_probabilities__underflow_is_finite():
    assert np.isfinite(log_probabilities(np.float32([0, 1]))).all()


def test_logits_function__inference_mode():
    model = tnt(dropout_rate=0.5, drop_path_rate=0.5)
    np.testing.assert_array_equal(logits_of(model), logits_of(model))


def test_logits_function__other_size_is_resized():
    model = randomised(tnt(input_shape=(48, 48, 3)))
    large = keras.ops.image.resize(images(), (48, 48))
    expected = keras.ops.log(model(large))
    np.testing.assert_allclose(logits_of(model), expected, atol=1e-5)
    shapes = []

    class Resized(L.Layer):
        def call(self, images):
            shapes.append(images.shape[1:3])
            return L.Resizing(32, 32, dtype="float32")(images)

    open_size = keras.Input((None, None, 3))
    model = keras.Model(open_size, tnt()(Resized()(open_size)))
    logits_of(model, shape=(40, 44, 3))
    assert shapes[-1] == (40, 44)  # a model that takes any size sees it


def test_logits_function__order_of_the_classes():
    model = tnt()
    outputs = np.asarray(keras.ops.log(model(images())))
    found = logits_of(model, ["cat", "ant", "bee"])
    np.testing.assert_allclose(found, outputs[:, [1, 2, 0]], atol=1e-6)
    some = logits_of(model, ["cat", "ant", "bee"], classes=["cat", "bee"])
    np.testing.assert_allclose(some, outputs[:, [0, 2]], atol=1e-6)


def scaled():
    return functional(lambda x: 2 * keras.ops.softmax(L.Dense(3)(x)))


@pytest.mark.parametrize(
    ("build", "names", "message"),
    [
        (tnt, ["ant", "bee", "dog"], r"not known to the model .first of 1.: 'cat'"),
        (lambda: tnt(classes=4), None, "has 3 classes, the model 4"),
        (tnt, ["ant", "bee"], "a label for each of the 3 classes, got 2"),
        (lambda: tnt(classifier_activation="sigmoid"), None, "ends in a sigmoid"),
        (lambda: tnt(classifier_activation="relu"), None, "activation relu"),
        (scaled, None, "neither probabilities nor logits"),
        (lambda: tnt(include_preprocessing=False), None, "expects scaled images"),
        (lambda: tnt(include_top=False), None, "Expected a classifier"),
        (lambda: tnt(input_shape=(32, 32, 1)), None, "1 channels, the student of 3"),
        (lambda: keras.Sequential([L.Dense(3)]), None, "has not been built"),
    ],
)
def test_logits_function__refused(build, names, message):
    with pytest.raises(ValueError, match=message) as error:
        logits_of(build(), names)
    assert str(error.value).startswith("The teacher ")


def test_load_teacher__run_directory(tmp_path):
    run = RunDirectory.create(tmp_path / "run")
    run.write_recipe(toy_recipe(), NAMES)
    with pytest.raises(ValueError, match=r"has no model yet.*Resume it: keras-tnt"):
        load_teacher(str(run.path), 3)
    model = dense_classifier(3)
    model.save(run.model)
    teacher = load_teacher(str(run.path), 3)
    assert teacher.class_names == NAMES
    assert teacher.digest() == Teacher(model).digest()
    assert teacher.digest() != Teacher(dense_classifier(3)).digest()


def test_load_teacher__not_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no teacher 'hf://me/tnt'"):
        load_teacher("hf://me/tnt", 3)
    with pytest.raises(FileNotFoundError, match="is not a run directory"):
        load_teacher(str(tmp_path), 3)
    path = tmp_path / "teacher.keras"
    path.write_text("weights")
    with pytest.raises(ValueError, match=r"teacher\.keras' is not a complete model"):
        load_teacher(str(path), 3)


def test_load_teacher__builder_and_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "TNTTiny", tnt)
    model = randomised(tnt(classes=3))
    path = tmp_path / "tnt.safetensors"
    save_upstream_weights(model, path)
    teacher = load_teacher(f"TNTTiny:{path}", 3, "mixed_bfloat16")
    assert teacher.digest() == Teacher(model).digest()
    assert teacher.class_names is None
    policy = teacher.model.get_layer("block_1").dtype_policy
    assert policy.name == "mixed_bfloat16"
    with pytest.raises(ValueError, match="has no head for the 4 classes"):
        load_teacher(f"TNTTiny:{path}", 4)


@pytest.mark.parametrize(
    "source",
    [
        *("TNTBase:imagenet", "TNTBase", "tnt_base"),
        "hf://timm/tnt_b_patch16_224.in1k",
    ],
)
def test_load_teacher__published_weights(source, monkeypatch):
    def build(weights, dtype):
        assert weights == "imagenet"
        return dense_classifier(1000, input_shape=SHAPE)

    monkeypatch.setattr(models, "TNTBase", build)
    teacher = load_teacher(source, 1000)
    ids = [wordnet_id for wordnet_id, _ in imagenet_classes()]
    found = logits_function(teacher, ids[5:8], SHAPE)(images())
    expected = keras.ops.log(teacher.model(images()))[:, 5:8]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_find_teacher__none():
    assert find_teacher(toy_recipe(), None, 10) is None


def test_find_teacher__not_a_model():
    with pytest.raises(ValueError, match=r"must be a keras\.Model, got 'runs/large'"):
        find_teacher(toy_recipe(), "runs/large", 10)
