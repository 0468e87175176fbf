"""The scripts that pin and publish weights, against a hub on loopback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load, save

import keras_tnt
from keras_tnt.weights.transfer import to_upstream
from tests.helpers import reference
from tests.helpers.hub_server import HubServer, hub_environment
from tests.models.test_from_tensors import TINY

SCRIPTS = Path(__file__).parents[2] / "scripts"
REPO = "timm/tnt_s_patch16_224.in1k"

pytestmark = pytest.mark.processes


def run(script, *arguments, hub, home):
    own = hub_environment(home) | {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": HubServer.TOKEN,
    }
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, env=own, capture_output=True, text=True, timeout=300)


def test_pin_weights__writes_revision_and_sha256(tmp_path):
    content = save(reference.published_tensors(REPO))
    arguments = ["--variants", "tnt_small", "--out", tmp_path / "pins.json"]
    with HubServer() as hub:
        commit = hub.publish(REPO, content)
        done = run("pin_weights.py", *arguments, hub=hub, home=tmp_path / "home")
        assert done.returncode == 0, done.stderr[-2000:]
        pins = json.loads((tmp_path / "pins.json").read_text())
        assert pins["tnt_small"]["revision"] == commit
        assert pins["tnt_small"]["sha256"] == hub.downloads()[0].target[6:]
        assert pins["tnt_base"] == {"revision": None, "sha256": None}
        # A file that does not fit the model is not pinned.
        hub.publish(REPO, save(to_upstream(keras_tnt.TNT(**TINY))))
        refused = run("pin_weights.py", *arguments, hub=hub, home=tmp_path / "home")
    assert refused.returncode == 1
    assert "does not fit the model 'tnt_small'" in refused.stderr
    assert json.loads((tmp_path / "pins.json").read_text()) == pins


def test_mirror_pyramid_tnt__uploads_weights_and_card(tmp_path):
    model = keras_tnt.PyramidTNTTiny(input_shape=(64, 64, 3))
    source = tmp_path / "pyramid_tnt_ti.safetensors"
    keras_tnt.save_upstream_weights(model, source)
    other = tmp_path / "tnt.safetensors"
    keras_tnt.save_upstream_weights(keras_tnt.TNT(**TINY), other)
    with HubServer() as hub:
        script, home = "mirror_pyramid_tnt.py", tmp_path / "home"
        done = run(script, source, "owner/pyramid_tnt_tiny", hub=hub, home=home)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "Add it to PUBLISHED" in done.stdout
        uploaded = load(hub.content("owner/pyramid_tnt_tiny", "model.safetensors"))
        card = hub.content("owner/pyramid_tnt_tiny", "README.md").decode()
        refused = run(script, other, "owner/other", hub=hub, home=home)
    expected = load(source.read_bytes())
    assert uploaded.keys() == expected.keys()
    assert all((uploaded[name] == expected[name]).all() for name in expected)
    assert "license: apache-2.0" in card
    assert "pan.baidu.com" in card
    assert str(tmp_path) not in card
    assert refused.returncode == 2
    assert "not one of pyramid_tnt_tiny" in refused.stderr
