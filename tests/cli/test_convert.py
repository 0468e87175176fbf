import hashlib
import importlib.util

import keras
import numpy as np
import pytest

import keras_tnt
from keras_tnt.cli import convert, main
from tests.helpers.small import pixels, randomised
from tests.models.test_from_tensors import PYRAMID, TINY


@pytest.fixture(scope="module")
def model():
    return randomised(keras_tnt.TNT(**TINY))


@pytest.fixture
def source(model, tmp_path):
    path = tmp_path / "source.safetensors"
    keras_tnt.save_upstream_weights(model, path)
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "suffix",
    [".keras", pytest.param(".weights.h5", marks=pytest.mark.slow), ".safetensors"],
)
def test_convert__file(suffix, model, source, tmp_path, capsys):
    out = tmp_path / f"tnt{suffix}"
    command = ["convert", str(source), str(out)]
    assert main([*command, "--license", "apache-2.0"]) == 0
    assert "outputs equal within" in capsys.readouterr().out
    again = keras_tnt.TNT(**TINY)
    if suffix == ".keras":
        again = keras.saving.load_model(out)
    else:
        keras_tnt.load_weights(again, out)
    images = pixels(model)
    np.testing.assert_allclose(again(images), model(images), atol=1e-6)
    card = (tmp_path / "tnt.md").read_text()
    for text in ("license: apache-2.0", sha256(out), sha256(source), "32x32"):
        assert text in card
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [source.name, out.name, "tnt.md"]
    )
    assert main(command) == 1
    assert "exists. Pass --overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    assert "license: unknown" in (tmp_path / "tnt.md").read_text()


def test_convert__preset(model, source, tmp_path):
    keras_hub = pytest.importorskip("keras_hub", reason="KerasHub is not installed")
    out = tmp_path / "preset"
    assert main(["convert", str(source), str(out)]) == 0
    again = keras_hub.models.ImageClassifier.from_preset(str(out))
    images = pixels(model)
    np.testing.assert_allclose(again(images), model(images), atol=1e-5)
    card = (out / "README.md").read_text()
    assert sha256(out / "model.weights.h5") in card
    assert str(source) in card
    assert "`README.md`" not in card
    assert again.preprocessor.image_size == (32, 32)


@pytest.mark.slow
def test_convert__pyramid_and_keras_source(tmp_path):
    model = randomised(keras_tnt.PyramidTNT(**PYRAMID))
    model.save(tmp_path / "pyramid.keras")
    out = tmp_path / "pyramid.safetensors"
    assert main(["convert", str(tmp_path / "pyramid.keras"), str(out)]) == 0
    again = keras_tnt.PyramidTNT(**PYRAMID, weights=out)
    images = pixels(model)
    np.testing.assert_allclose(again(images), model(images), atol=1e-5)
    if importlib.util.find_spec("keras_hub"):
        assert main(["convert", str(out), str(tmp_path / "preset")]) == 0
        (tmp_path / "preset" / "README.md").unlink()
        assert main(["convert", str(out), str(tmp_path / "preset")]) == 1


def test_convert__difference_is_not_written(source, tmp_path, monkeypatch, capsys):
    def other(model, path):
        return randomised(keras_tnt.TNT(**TINY, name="other"))

    monkeypatch.setattr(convert, "_read_file", other)
    monkeypatch.setattr(convert, "TOLERANCE", -1.0)
    assert main(["convert", str(source), str(tmp_path / "tnt.keras")]) == 1
    assert "was not written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_convert__unknown_kinds(source, tmp_path, capsys):
    assert main(["convert", str(source), str(tmp_path / "tnt.onnx")]) == 1
    assert "Expected a name that ends in" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "no.pth"), str(tmp_path / "tnt.keras")]) == 1
    assert "There is no weight file" in capsys.readouterr().err
