"""Faults that `keras_tnt.compat.model_files` works around."""

import keras
import pytest

from keras_tnt.compat.model_files import load_keras_file


def test_load_keras_file__still_present(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    path = tmp_path / "model"
    model.save(path.with_suffix(".keras"))
    path.with_suffix(".keras").rename(path)
    assert load_keras_file(path).output_shape == (None, 3)
    try:
        keras.saving.load_model(path)
    except ValueError as error:
        assert "File format not supported" in str(error)
    else:
        pytest.fail(
            "Keras loads files without suffix: "
            "remove keras_tnt.compat.model_files.load_keras_file"
        )
