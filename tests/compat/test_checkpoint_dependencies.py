"""TensorFlow's checkpoints have all weights, also of layers in lists."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.layers import PyramidStage, PyramidStem
from tests.helpers.small import randomised, small_pyramid


class InList(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.parts = [keras.layers.Dense(2)]

    def build(self, input_shape):
        self.parts[0].build(input_shape)


def saved_weights(trackable, directory):
    """How many variables a checkpoint has, without its own counter."""
    path = tf.train.Checkpoint(model=trackable).save(directory / "checkpoint")
    names = [name for name, _ in tf.train.list_variables(path)]
    return sum(
        "VARIABLE_VALUE" in name and "save_counter" not in name for name in names
    )


def test_visible_sublayers__still_needed(tmp_path):
    layer = InList()
    layer.build((None, 3))
    assert saved_weights(layer, tmp_path) == 0, (
        "Keras shows layers in lists to TensorFlow: "
        "remove keras_tnt.compat.checkpoint_dependencies"
    )


def test_checkpoint__restores_all_weights_of_a_pyramid(tmp_path):
    model = small_pyramid(input_shape=(32, 32, 3))
    assert saved_weights(model, tmp_path) == len(model.weights) == 184
    expected = model.get_weights()
    model.set_weights([np.zeros_like(value) for value in expected])
    checkpoint = tf.train.Checkpoint(model=model)
    status = checkpoint.restore(tf.train.latest_checkpoint(tmp_path))
    status.assert_existing_objects_matched()
    status.assert_consumed()
    for found, value in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (PyramidStem(8, 4), [(None, 8, 8, 3)]),
        (PyramidStage(2, 1, 1), [(None, 2, 2, 4, 4), (None, 2, 2, 8)]),
    ],
)
def test_checkpoint__restored_before_build(layer, shapes, tmp_path):
    layer.build(*shapes)
    randomised(layer)
    assert saved_weights(layer, tmp_path) == len(layer.weights)
    copy = type(layer).from_config(layer.get_config())
    checkpoint = tf.train.Checkpoint(model=copy)
    status = checkpoint.restore(tf.train.latest_checkpoint(tmp_path))
    copy.build(*shapes)
    status.assert_existing_objects_matched()
    for found, value in zip(copy.weights, layer.weights, strict=True):
        np.testing.assert_array_equal(found, value)
