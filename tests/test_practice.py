"""Every block of docs/practice.md runs, in the order of the page."""

import re

import numpy as np
import pytest
from PIL import Image

import keras_tnt
from tests.helpers import ROOT
from tests.helpers.small import small

PAGE = (ROOT / "docs" / "practice.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^## (.+?)$|^```python\n(.*?)^```", PAGE, re.M | re.S)
pytestmark = [
    pytest.mark.end_to_end,
    # KerasTuner uses old names of `threading`.
    pytest.mark.filterwarnings("ignore:currentThread|getName:DeprecationWarning"),
    # KerasHub shuffles a data set that Keras does not.
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning"),
]


def small_model(weights=None, **options):
    """In the place of TNTSmall: its arguments, at a size that is trained quickly."""
    assert weights == "imagenet"
    return small(depth=1, **{"input_shape": (32, 32, 3), **options})


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A directory of two classes, of six images each."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(12):
        path = tmp_path / "images" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 36, 3), "uint8")).save(path)


def test_practice__blocks_run(images, monkeypatch, tmp_path):
    pytest.importorskip("keras_hub", reason="KerasHub is not installed (the extra hub)")
    monkeypatch.setattr(keras_tnt, "TNTSmall", small_model)
    # XLA compiles each model anew, which takes longer than all of the rest.
    monkeypatch.setattr(
        "keras.src.trainers.trainer.model_supports_jit", lambda _: False
    )
    names = {"__name__": "practice"}
    title, ran = "", []
    for heading, code in BLOCKS:
        title = heading or title
        if code:
            exec(compile(code.replace("224", "32"), title, "exec"), names)
            ran.append(title)
    assert len(ran) == PAGE.count("```python")
    assert np.isfinite(names["scores"]).all()
    assert set(names["classifier"].backbone.trainable_weights[0].path.split("/")) > {
        "qkv"
    }
    assert names["vectors"].shape == (10, 48)
    assert (tmp_path / "served" / "1" / "saved_model.pb").is_file()
