"""timm's repositories as presets: local, online, from the cache, behind an endpoint."""

import json
import subprocess
import sys

import numpy as np
import pytest

import keras_tnt
from tests.helpers.hub_server import HubServer, hub_environment
from tests.helpers.small import pixels, small

pytest.importorskip("keras_hub", reason="KerasHub is not installed (the extra hub)")
from keras_tnt import keras_hub as tnt_hub
from keras_tnt.keras_hub.timm_presets import TimmPreset

CONFIG = {
    "architecture": "tnt_s_patch16_224",
    "num_classes": 7,
    "model_args": {
        "embed_dim": 48,
        "inner_dim": 12,
        "depth": 2,
        "num_heads_outer": 3,
        "drop_rate": 0.1,
    },
    "pretrained_cfg": {
        "input_size": [3, 32, 48],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "crop_pct": 0.9,
    },
}


def tnt():
    return small(outer_num_heads=3, inner_num_heads=4, input_shape=(32, 48, 3))


@pytest.fixture
def preset(tmp_path):
    directory = tmp_path / "preset"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(CONFIG))
    keras_tnt.save_upstream_weights(tnt(), directory / "model.safetensors")
    return str(directory)


def test_from_preset__local_directory(preset):
    model = tnt()
    images = pixels(model)
    task = tnt_hub.TNTImageClassifier.from_preset(preset)
    np.testing.assert_allclose(task(images), model(images), atol=1e-5)
    assert task.preprocessor.image_size == (32, 48)
    backbone = tnt_hub.TNTBackbone.from_preset(preset, name="pets")
    np.testing.assert_array_equal(backbone(images), task.backbone(images))
    assert backbone.name == "pets"
    new = tnt_hub.TNTImageClassifier.from_preset(
        preset, num_classes=3, dtype="bfloat16"
    )
    assert new.output_shape == (None, 3)
    assert new.backbone.compute_dtype == "bfloat16"
    empty = tnt_hub.TNTBackbone.from_preset(preset, load_weights=False)
    assert not np.allclose(empty(images), backbone(images))


def test_from_preset__published_size():
    loader = TimmPreset("preset", {"architecture": "tnt_s_patch16_224"})
    backbone = loader.load_backbone(tnt_hub.TNTBackbone, load_weights=False)
    assert backbone.count_params() == 23_768_584 - 1000 * 385  # without the head


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "tnt_s_legacy_patch16_224"}, "Expected one of tnt_s_patch16"),
        ({"pretrained_cfg": {"mean": [0.4, 0.5, 0.5]}}, "scales images with mean"),
    ],
)
def test_from_preset__another_model(changes, message, preset):
    with open(f"{preset}/config.json", "w", encoding="utf-8") as file:
        json.dump(CONFIG | changes, file)
    with pytest.raises(ValueError, match=message):
        tnt_hub.TNTBackbone.from_preset(preset)


@pytest.mark.processes
def test_from_preset__hub_and_cache(tmp_path):
    script = (
        "import sys; from keras_tnt.keras_hub import TNTImageClassifier\n"
        "task = TNTImageClassifier.from_preset('hf://timm/tnt_s_patch16_224.in1k')\n"
        "print(task.get_layer('predictions').bias.numpy().sum(dtype='float64'))\n"
    )
    environment = hub_environment(tmp_path / "cache")

    def run(**more):
        command = [sys.executable, "-c", script]
        options = {"capture_output": True, "text": True, "timeout": 300}
        return subprocess.run(command, env=environment | more, **options)

    model = tnt()
    keras_tnt.save_upstream_weights(model, tmp_path / "model.safetensors")
    with HubServer() as hub:
        repo = "timm/tnt_s_patch16_224.in1k"
        hub.publish_files(
            repo,
            {
                "config.json": json.dumps(CONFIG).encode(),
                "model.safetensors": (tmp_path / "model.safetensors").read_bytes(),
            },
        )
        online = run(HF_ENDPOINT=hub.url)
    offline = run(HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1")
    expected = np.sum(model.get_layer("predictions").bias, dtype="float64")
    for process in (online, offline):
        assert process.returncode == 0, process.stderr[-2000:]
        assert float(process.stdout) == pytest.approx(expected, rel=1e-6)
    assert len(hub.downloads()) == 2
