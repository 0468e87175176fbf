"""Small models and their SavedModels, exported once for all tests of this directory."""

import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt.images import decode_image
from tests.helpers import ASSETS
from tests.helpers.datasets import pillow_gray
from tests.helpers.small import small

NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnü"]


class Exported:
    """A model and its SavedModel, with the names of its classes."""

    def __init__(self, directory, channels):
        self.model = small(input_shape=(32, 48, channels))
        self.names = NAMES
        self.path = keras_tnt.export_saved_model(
            self.model, directory / "pets", NAMES, license="MIT"
        )
        self.signatures = tf.saved_model.load(self.path).signatures

    def live(self, name, images):
        """What the signatures call ``name``, from plain Keras models."""
        arguments = {
            "probabilities": {},
            "logits": {"classifier_activation": None},
            "embedding": {"include_top": False, "pooling": "token"},
            "feature_map": {"include_top": False},
        }[name]
        model = small(input_shape=self.model.input_shape[1:], **arguments)
        # Without top, the weights of the head are missing, the last ones.
        model.set_weights(self.model.get_weights()[: len(model.weights)])
        return model(images, training=False).numpy()

    def live_classes(self, encoded_images):
        """What ``serving_default`` should answer, step by step."""
        images = [decode_image(contents) for contents in encoded_images]
        if self.model.input_shape[-1] == 1:
            images = [pillow_gray(image) for image in images]
        images = keras_tnt.preprocess_input(images, (32, 48))
        scores = self.live("probabilities", images)
        ids = np.argsort(-scores, axis=1)[:, :5]
        return {
            "classes": np.array([name.encode() for name in NAMES], dtype=object)[ids],
            "class_ids": ids,
            "scores": np.take_along_axis(scores, ids, axis=1),
            "ok": np.array([True] * len(encoded_images)),
        }

    def classify(self, encoded_images):
        """What ``serving_default`` answers, as NumPy arrays."""
        outputs = self.signatures["serving_default"](
            image_bytes=tf.constant(encoded_images)
        )
        return {name: value.numpy() for name, value in outputs.items()}


@pytest.fixture(scope="session")
def color(tmp_path_factory):
    return Exported(tmp_path_factory.mktemp("color"), channels=3)


@pytest.fixture(scope="session")
def gray(tmp_path_factory):
    return Exported(tmp_path_factory.mktemp("gray"), channels=1)


@pytest.fixture(params=["color", "gray"])
def exported(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def photos():
    """Encoded images of several sizes, all different."""
    return [path.read_bytes() for path in sorted(ASSETS.glob("*.png"))]
