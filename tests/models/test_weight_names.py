"""Weight names are part of the file formats: they never change."""

import pytest

from tests.helpers import ASSETS
from tests.helpers.small import build_pyramid_tnt, build_tnt

MODELS = {
    "tnt": lambda: build_tnt(depth=1, se_ratio=0.25, qkv_bias=True),
    "tnt_inner_blocks": lambda: build_tnt(depth=2, inner_blocks=(2,)),
    "pyramid_tnt": lambda: build_pyramid_tnt(depths=(1, 2, 1, 1)),
}


def golden(model):
    """The lines below a model's heading in the file."""
    text = (ASSETS / "weight_names.txt").read_text(encoding="utf-8")
    return text.partition(f"[{model}]\n")[2].partition("\n[")[0].splitlines()


@pytest.mark.parametrize("model", MODELS)
def test_weight_names__equal_golden_file(model):
    """A failure means that existing weight files no longer load."""
    weights = MODELS[model]().weights
    shapes = ["x".join(map(str, weight.shape)) for weight in weights]
    found = [f"{w.path} {shape}" for w, shape in zip(weights, shapes, strict=True)]
    assert found == golden(model)
