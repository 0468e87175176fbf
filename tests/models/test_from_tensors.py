import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import keras_tnt
from keras_tnt.models.from_tensors import build_from_tensors, read_model
from keras_tnt.weights.transfer import to_upstream
from tests.helpers.small import pixels, randomised

TINY = {
    "outer_dim": 192,
    "inner_dim": 12,
    "depth": 2,
    "outer_num_heads": 3,
    "inner_num_heads": 2,
    "input_shape": (32, 32, 3),
    "classes": 7,
}
PYRAMID = {
    "outer_dim": 80,
    "inner_dim": 5,
    "depths": (1, 2, 1, 1),
    "outer_num_heads": 2,
    "inner_num_heads": 1,
    "input_shape": (64, 64, 3),
    "classes": 7,
}
OPTIONS = [
    {},
    {"inner_blocks": (2,), "se_ratio": 0.25, "mlp_ratio": 2.0},
    {"qkv_bias": True, "input_shape": (48, 48, 1), "classes": 3},
    {"inner_stride": 2},
    {"include_top": False, "pooling": "token"},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_build_from_tensors__tnt(options):
    model = randomised(keras_tnt.TNT(**(TINY | options)))
    again = build_from_tensors(to_upstream(model))
    images = pixels(model)
    np.testing.assert_allclose(again(images), model(images), atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"se_ratio": 0.25, "qkv_bias": True, "mlp_ratio": 2.0},
        pytest.param({"include_top": False, "pooling": "avg"}, marks=pytest.mark.slow),
    ],
)
def test_build_from_tensors__pyramid_tnt(options):
    model = randomised(keras_tnt.PyramidTNT(**(PYRAMID | options)))
    again = build_from_tensors(to_upstream(model))
    images = pixels(model)
    np.testing.assert_allclose(again(images), model(images), atol=1e-5)


@pytest.fixture(scope="module")
def tensors():
    return to_upstream(keras_tnt.TNT(**TINY))


def test_read_model__recorded_grid(tmp_path):
    model = randomised(keras_tnt.TNT(**(TINY | {"input_shape": (32, 48, 3)})))
    keras_tnt.save_upstream_weights(model, tmp_path / "tnt.safetensors")
    again = read_model(tmp_path / "tnt.safetensors")
    assert again.input_shape == model.input_shape
    with pytest.raises(ValueError, match="6 patches, which are no square"):
        build_from_tensors(load_file(tmp_path / "tnt.safetensors"))


def test_read_model__wrong_tensors(tensors, tmp_path):
    def refused(message, **changes):
        changed = {k: v for k, v in (tensors | changes).items() if v is not None}
        save_file(changed, tmp_path / "file.safetensors")
        with pytest.raises(ValueError, match=message) as raised:
            read_model(tmp_path / "file.safetensors")
        assert "file.safetensors cannot be converted" in str(raised.value)

    width = {"pixel_embed.proj.weight": np.zeros((13, 3, 7, 7), "float32")}
    refused("No published size has outer_dim=192 and inner_dim=13", **width)
    refused("'pixel_pos' is missing", pixel_pos=None)
    refused("norm.weight", **{"norm.weight": None})
    refused("3x3 pixels", pixel_pos=np.zeros((1, 12, 3, 3), "float32"))
    refused("not finite|NaN", **{"norm.bias": np.full(192, np.nan, "float32")})
    refused("extra.weight", **{"extra.weight": np.zeros(3, "float32")})


def test_read_model__other_files(tmp_path):
    (tmp_path / "tnt.weights.h5").write_bytes(b"")
    with pytest.raises(ValueError, match=r"Save it as \.keras"):
        read_model(tmp_path / "tnt.weights.h5")
