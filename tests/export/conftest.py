"""Small models and their SavedModels, exported once for all tests of this folder."""

from pathlib import Path

import pytest
import tensorflow as tf

import keras_tnt
from tests.small import small

DATA = Path(__file__).parents[1] / "data"
NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnü"]


class Exported:
    """A model and its SavedModel, with the names of its classes."""

    def __init__(self, folder, channels):
        self.model = small(input_shape=(32, 48, channels))
        self.names = NAMES
        self.path = keras_tnt.export_saved_model(
            self.model, folder / "pets", NAMES, license="MIT"
        )
        self.signatures = tf.saved_model.load(self.path).signatures

    def classify(self, pictures):
        """What ``serving_default`` answers, as NumPy arrays."""
        outputs = self.signatures["serving_default"](image_bytes=tf.constant(pictures))
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
    """Encoded pictures of several sizes, all different."""
    return [path.read_bytes() for path in sorted(DATA.glob("*.png"))]
