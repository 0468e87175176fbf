"""Binary cross-entropy: its value, its model file, and training with it."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.data import Augmentation
from keras_tnt.structure import find_head
from keras_tnt.training import fashion_mnist_demo, train
from keras_tnt.training.checkpoints import Checkpoints
from keras_tnt.training.classification_task import build_loss
from keras_tnt.training.losses import BinaryCrossentropy
from tests.helpers.checks import two_replicas
from tests.helpers.small import dense_classifier
from tests.helpers.toy import toy_recipe

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (6, 5))
# Smoothed by 0.1, and mixed: 0.02 for other classes.
SHARES = RNG.uniform(0.1, 0.9, (6, 1))
LABELS = 0.9 * (SHARES * np.eye(5)[[0, 1, 2, 3, 4, 0]]) + 0.02
LABELS += 0.9 * (1 - SHARES) * np.eye(5)[[1, 1, 3, 4, 2, 2]]


def expected_loss(labels, logits):
    """The mean over images and classes, in float64."""
    right = 1 / (1 + np.exp(-np.float64(logits)))
    return -np.mean(labels * np.log(right) + (1 - labels) * np.log(1 - right))


def softmax_model(classes=5):
    """A model of which the logits are its input."""
    logits = keras.Input((classes,))
    return keras.Model(logits, keras.layers.Activation("softmax")(logits))


@pytest.mark.parametrize("threshold", [None, 0.0, 0.2])
def test_binary_crossentropy__value(threshold):
    loss, model = BinaryCrossentropy(threshold), softmax_model()
    compiled = tf.function(lambda x, y: loss(y, model(x)))
    targets = LABELS if threshold is None else threshold < LABELS
    for call in (compiled, compiled.python_function):
        found = call(tf.constant(LOGITS, tf.float32), tf.constant(LABELS, tf.float32))
        assert float(found) == pytest.approx(expected_loss(targets, LOGITS), rel=1e-5)


def test_binary_crossentropy__large_logits():
    """Far from the range in which a float32 sigmoid differs from 0 and 1."""
    logits = np.float32([[200, -300, 0]])
    found = BinaryCrossentropy()(np.float32([[0, 1, 0]]), softmax_model(3)(logits))
    assert float(found) == pytest.approx((200 + 300 + np.log(2)) / 3, rel=1e-6)


def test_binary_crossentropy__predictions_without_logits():
    with pytest.raises(ValueError, match="Expected a model that ends in a softmax"):
        BinaryCrossentropy()(LABELS, np.full((6, 5), 0.2))


def test_binary_crossentropy__config():
    loss = BinaryCrossentropy(0.25)
    copied = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(copied) is BinaryCrossentropy
    assert copied.target_threshold == 0.25


def test_binary_crossentropy__learns_on_two_replicas_as_on_one():
    images = RNG.uniform(0, 255, (12, 8, 8, 1)).astype("float32")
    labels = np.eye(3, dtype="float32")[RNG.integers(0, 3, 12)]
    kernels, losses = [], []
    for strategy in (tf.distribute.OneDeviceStrategy("/cpu:0"), two_replicas()):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = dense_classifier(3, input_shape=(8, 8, 1))
            model.compile(keras.optimizers.SGD(0.5), BinaryCrossentropy())
        result = model.fit(
            images, labels, batch_size=6, epochs=4, verbose=0, shuffle=False
        )
        losses.append(result.history["loss"])
        assert np.all(np.diff(losses[-1]) < 0)
        kernels.append(model.layers[-1].kernel.numpy())
    np.testing.assert_allclose(*losses, rtol=1e-5)
    np.testing.assert_allclose(*kernels, atol=1e-6)


@pytest.mark.parametrize(
    ("smoothing", "threshold", "is_right"),
    [(0.1, 0.0, False), (0.1, 0.01, False), (0.1, 0.02, True), (0.0, 0.0, True)],
)
def test_build_loss__threshold_below_the_smoothed_labels(
    smoothing, threshold, is_right
):
    recipe = dataclasses.replace(
        fashion_mnist_demo(),
        loss="binary_crossentropy",
        label_smoothing=smoothing,
        target_threshold=threshold,
    )
    if is_right:
        assert build_loss(recipe, 10).target_threshold == threshold
        return
    with pytest.raises(ValueError, match="all 10 classes of every image right"):
        build_loss(recipe, 10)


@pytest.mark.slow
def test_train__binary_crossentropy(tmp_path):
    """It learns, its model is one of probabilities, and it resumes exactly."""
    recipe = toy_recipe(
        model_options={"depth": 1},
        augmentation=Augmentation(mixup=0.8, cutmix=1.0, three_augment=True),
        loss="binary_crossentropy",
        target_threshold=0.0,
        label_smoothing=0.0,
        keep_checkpoints=99,
        deterministic=True,
    )
    result = train(recipe, tmp_path / "run", verbose=0)
    assert result.history[1]["loss"] < result.history[0]["loss"] < np.log(2)
    assert result.history[1]["val_loss"] < result.history[0]["val_loss"]

    shutil.copytree(tmp_path / "run", tmp_path / "resumed")
    for checkpoint in Checkpoints(tmp_path / "resumed" / "checkpoints").paths()[-2:]:
        checkpoint.unlink()
    resumed = train(recipe, tmp_path / "resumed", verbose=0)
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    for ours, theirs in zip(model.weights, resumed.model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)

    assert type(model.loss) is BinaryCrossentropy
    images = RNG.uniform(0, 255, (4, *model.input_shape[1:])).astype("float32")
    labels = np.eye(10)[[3, 1, 4, 1]]
    probabilities = model.predict(images, verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    head = find_head(model)
    features = keras.Model(model.inputs, head.features).predict(images, verbose=0)
    logits = features @ head.dense.kernel.numpy() + head.dense.bias.numpy()
    found = model.evaluate(images, labels, verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(expected_loss(labels, logits), rel=1e-4)
