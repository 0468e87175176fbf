"""Faults that `keras_tnt.compat.model_files` works around."""

import os

import keras
import pytest

from keras_tnt.compat.model_files import load_keras_file
from tests.helpers.faults import still_raises


@pytest.mark.parametrize("name", ["model.keras", "model", "MODEL.KERAS", "model.h5"])
def test_load_keras_file__without_links(name, tmp_path, monkeypatch):
    """Windows forbids links to most users."""

    def forbidden(*arguments, **options):
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", forbidden)
    monkeypatch.setattr(os, "link", forbidden)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.save(tmp_path / "saved.keras")
    path = (tmp_path / "saved.keras").rename(tmp_path / name)
    assert load_keras_file(path).output_shape == (None, 3)
    assert os.listdir(tmp_path) == [name]


def test_load_keras_file__still_present(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    path = tmp_path / "model"
    model.save(path.with_suffix(".keras"))
    path.with_suffix(".keras").rename(path)
    assert load_keras_file(path).output_shape == (None, 3)
    workaround = "keras_tnt.compat.model_files.load_keras_file"
    with still_raises(ValueError, "File format not supported", workaround):
        keras.saving.load_model(path)
