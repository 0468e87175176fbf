"""Faults that `keras_tnt.compat.model_files` works around."""

import keras

from keras_tnt.compat.model_files import load_keras_file
from tests.helpers.faults import still_raises


def test_load_keras_file__still_present(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    path = tmp_path / "model"
    model.save(path.with_suffix(".keras"))
    path.with_suffix(".keras").rename(path)
    assert load_keras_file(path).output_shape == (None, 3)
    workaround = "keras_tnt.compat.model_files.load_keras_file"
    with still_raises(ValueError, "File format not supported", workaround):
        keras.saving.load_model(path)
