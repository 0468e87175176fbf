"""Tensors that are read from a file where their values are needed."""

import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_tnt.weights import file_tensor
from keras_tnt.weights.file_tensor import FileTensor
from keras_tnt.weights.tensor_files import read_tensors


def test_file_tensor__values_of_each_kind(tmp_path):
    path = tmp_path / "tensors.safetensors"
    stored = {
        "half": np.linspace(-1, 1, 6, dtype="float16").reshape(2, 3),
        "single": np.full(4, 1 / 3, "float32"),
        "counter": np.full((), 7, "int64"),
    }
    save_file(stored, path, {"patch_grid": "2x3"})
    tensors, metadata = read_tensors(path)
    assert metadata == {"patch_grid": "2x3"}
    assert tensors.keys() == stored.keys()
    for name, value in stored.items():
        tensor = tensors[name]
        assert isinstance(tensor, FileTensor)
        assert (tensor.shape, tensor.ndim) == (value.shape, value.ndim)
        array = np.asarray(tensor)
        assert array.dtype == ("int64" if name == "counter" else "float32")
        np.testing.assert_array_equal(array, value)
    assert np.asarray(tensors["single"], "float16").dtype == "float16"


def test_file_tensor__opened_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(file_tensor, "BYTES_AT_ONCE", 30)
    path = tmp_path / "tensors.safetensors"
    stored = {str(n): np.full(4, n, "float32") for n in range(5)}
    save_file(stored, path)
    tensors, _ = read_tensors(path)
    for _ in range(2):
        for name, value in stored.items():
            np.testing.assert_array_equal(np.asarray(tensors[name]), value)


def test_file_tensor__changed_file_is_refused(tmp_path):
    path = tmp_path / "tensors.safetensors"
    save_file({"a": np.zeros(3, "float32")}, path)
    tensors, _ = read_tensors(path)
    save_file({"a": np.ones(3, "float32")}, tmp_path / "other")
    os.replace(tmp_path / "other", path)
    with pytest.raises(ValueError, match="changed while it was read"):
        np.asarray(tensors["a"])
