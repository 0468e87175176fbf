"""PyTorch's files: also run by `make test-torch`, because PyTorch is no dependency."""

import argparse
import os

import keras
import numpy as np
import pytest

import keras_tnt
from tests.helpers import reference

torch = pytest.importorskip("torch")


def small(**arguments):
    return reference.build("tnt_timm", load=False, **arguments)


def predict(model, images):
    return keras.ops.convert_to_numpy(model(images))


def refused(path, message):
    model = small()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        keras_tnt.load_weights(model, path)
    for value, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "state_dict_ema"])
@pytest.mark.parametrize("name", ["tnt.pth", "tnt.pth.tar"])
def test_load_weights__pytorch_file(wrapper, name, tmp_path):
    tensors = {
        f"module.{key}": torch.from_numpy(value)
        for key, value in reference.tensors("tnt_official", "weight.").items()
    }
    other = {"state_dict": {}} if wrapper == "state_dict_ema" else {}
    saved = other | {wrapper: tensors, "epoch": 300} if wrapper else tensors
    torch.save(saved, tmp_path / name)
    model = small(weights=str(tmp_path / name))
    logits = reference.tensors("tnt_official")["logits"]
    images = reference.images("tnt_official")
    np.testing.assert_allclose(predict(model, images), logits, atol=1e-4)


def test_load_weights__training_arguments(tmp_path):
    """Checkpoints of timm 0.3.2 contain the arguments of the training."""
    tensors = reference.tensors("tnt_official", "weight.")
    saved = {
        "epoch": 290,
        "arch": "tnt_s_patch16_224",
        "state_dict": {k: torch.from_numpy(v) for k, v in tensors.items()},
        "args": argparse.Namespace(model="tnt_s_patch16_224", lr=1e-3, scale=[1, 2]),
        "version": 2,
        "metric": 81.5,
    }
    torch.save(saved, tmp_path / "tnt.pth.tar")
    model = small(weights=tmp_path / "tnt.pth.tar")
    logits = reference.tensors("tnt_official")["logits"]
    images = reference.images("tnt_official")
    np.testing.assert_allclose(predict(model, images), logits, atol=1e-4)


def test_load_weights__pytorch_code_not_run(tmp_path):
    torch.save({"state_dict": os.system}, tmp_path / "evil.pth")
    refused(tmp_path / "evil.pth", "is not a PyTorch checkpoint that can be read")


def test_load_weights__no_tensors(tmp_path):
    torch.save({"epoch": 3, "best": 0.5}, tmp_path / "notes.pth")
    refused(tmp_path / "notes.pth", r"found \['epoch', 'best'\]")
