"""Which weights of the models are divided among devices."""

import keras
import numpy as np
import pytest

from keras_tnt.training import layout_map
from tests.helpers import ASSETS

COLUMNS = ("qkv", "query", "key_value", "intermediate_dense")
ROWS = ("attention/projection", "output_dense")


def mesh(*axes):
    shape = (2, 4)[: len(axes)]
    return keras.distribution.DeviceMesh(shape, axes, np.arange(np.prod(shape)))


def expected_axes(path):
    *layer, kind = path.split("/")
    layer = "/".join(layer)
    if "inner/" in path:
        return None
    if layer.endswith(COLUMNS):
        return (None, "model") if kind == "kernel" else ("model",)
    if layer.endswith(ROWS) and kind == "kernel":
        return ("model", None)
    return None


def test_layout_map__every_weight_of_the_models():
    layouts = layout_map(mesh("batch", "model"))
    lines = (ASSETS / "weight_names.txt").read_text().splitlines()
    paths = [line.split()[0] for line in lines if not line.startswith("[")]
    divided = 0
    for path in paths:
        layout = layouts[path]
        assert (layout and layout.axes) == expected_axes(path), path
        divided += layout is not None
    assert divided > 40
    assert divided < len(paths) / 3


def test_layout_map__no_model_axis():
    with pytest.raises(ValueError, match=r"needs an axis 'model'.*got.*batch"):
        layout_map(mesh("batch"))
