"""PyramidTNT for KerasHub, and the pyramid of a TNT."""

import keras
import numpy as np
import pytest

import keras_tnt
from tests.helpers.small import (
    BOTH,
    PYRAMID_DEFAULTS,
    build_tnt,
    pixels,
    randomised,
    small_pyramid,
)

pytest.importorskip("keras_hub", reason="KerasHub is not installed (the extra hub)")
from keras_tnt import keras_hub as tnt_hub

OPTIONS = {
    name: value
    for name, value in PYRAMID_DEFAULTS.items()
    if name not in ("classes", "input_shape")
}


def backbone(**changes):
    return randomised(tnt_hub.PyramidTNTBackbone((64, 96, 3), **(OPTIONS | changes)))


def test_pyramid_backbone__is_a_pyramid_tnt():
    model, pyramid = backbone(), small_pyramid()
    images = pixels(pyramid)
    last = keras.Model(pyramid.input, pyramid.get_layer("norm").output)
    np.testing.assert_allclose(model(images), last(images), atol=1e-4)
    expected = keras_tnt.feature_extractor(pyramid)(images)
    maps = keras.Model(model.input, model.pyramid_outputs)(images)
    for found, stage in zip(maps.values(), expected.values(), strict=True):
        np.testing.assert_allclose(found, stage, atol=1e-4)


@pytest.mark.parametrize("build", BOTH)
def test_from_tnt__computes_the_same(build, tmp_path):
    model = build()
    images = pixels(model)
    task = tnt_hub.from_tnt(model)
    np.testing.assert_allclose(task(images), model(images), atol=1e-5)
    task.save_to_preset(tmp_path / "preset")
    again = type(task).from_preset(str(tmp_path / "preset"))
    np.testing.assert_allclose(again(images), model(images), atol=1e-5)
    assert "license: unknown" in (tmp_path / "preset" / "README.md").read_text()
    without = build(include_top=False)
    with pytest.raises(ValueError, match="with its top"):
        tnt_hub.from_tnt(without)


def test_pyramid_backbone__lora(tmp_path):
    model = backbone()
    images = pixels(model)
    before = np.asarray(model(images))
    model.enable_lora(2)
    trained = {weight.path.split("/")[-2] for weight in model.trainable_weights}
    assert trained == {"qkv", "query", "key_value"}
    np.testing.assert_array_equal(model(images), before)
    for weight in model.trainable_weights:
        weight.assign(np.full(weight.shape, 0.05))
    model.save_lora_weights(str(tmp_path / "model.lora.h5"))
    model.save(tmp_path / "model.keras")
    other = backbone()
    other.load_lora_weights(str(tmp_path / "model.lora.h5"))
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for copy in (other, loaded):
        np.testing.assert_allclose(copy(images), model(images), atol=1e-6)
    assert np.abs(model(images) - before).max() > 1e-3
    assert len(loaded.trainable_weights) == len(model.trainable_weights)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:(Layer .* does not have a|.model.quantize):UserWarning"
)
@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_pyramid_backbone__quantized(mode, tmp_path):
    model = backbone()
    images = pixels(model)
    exact = np.asarray(model(images))
    model.quantize(mode)
    rounded = np.asarray(model(images))
    assert 0 < np.abs(rounded - exact).mean() < {"int8": 0.05, "int4": 0.5}[mode]
    model.save_to_preset(tmp_path / "preset")
    again = tnt_hub.PyramidTNTBackbone.from_preset(str(tmp_path / "preset"))
    np.testing.assert_allclose(again(images), rounded, atol=1e-5)


def test_tnt_backbone__pyramid_outputs():
    model = randomised(
        tnt_hub.TNTBackbone((64, 64, 3), 48, 12, depth=4, outer_num_heads=3)
    )
    images = pixels(model)
    maps = keras.Model(model.input, model.pyramid_outputs)(images)
    features = keras_tnt.feature_extractor(model, (1, 2, 3, 4))(images)
    np.testing.assert_array_equal(maps["P4"], features["block_3"])
    highest = np.asarray(features["block_4"]).reshape(3, 2, 2, 2, 2, 48).max((2, 4))
    np.testing.assert_array_equal(maps["P5"], highest)
    means = [np.asarray(m).mean((1, 2)) for m in (maps["P2"], features["block_1"])]
    np.testing.assert_allclose(*means, atol=1e-5)
    other = tnt_hub.TNTBackbone((36, 36, 3), 48, 12, depth=1, patch_size=12)
    assert other.pyramid_outputs == {}


def test_classifier__head_as_everywhere():
    task = tnt_hub.PyramidTNTImageClassifier(backbone(), num_classes=1000)
    kernel = np.asarray(task.get_layer("predictions").kernel)
    expected = np.asarray(build_tnt(classes=1000).get_layer("predictions").kernel)
    assert kernel.std() == pytest.approx(0.02, rel=0.1)
    assert expected.std() == pytest.approx(0.02, rel=0.1)
