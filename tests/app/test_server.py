"""The server of the page: what it leaves behind."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_tnt.app import server


@pytest.mark.parametrize("before", [None, "/elsewhere"])
def test_serve__restores_the_environment(before, monkeypatch):
    """Gradio's directory is the page's own while it runs, and deleted afterwards."""
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    if before:
        monkeypatch.setenv("GRADIO_TEMP_DIR", before)
    used = []

    def build(model, examples):
        used.append(Path(os.environ["GRADIO_TEMP_DIR"]))
        assert used[0].is_dir()
        raise FileNotFoundError("no model")

    gradio = SimpleNamespace()
    monkeypatch.setattr(server, "require_gradio", lambda: gradio)
    monkeypatch.setattr(server, "build_app", build)
    with pytest.raises(FileNotFoundError, match="no model"):
        server.serve("nothing")
    assert os.environ.get("GRADIO_TEMP_DIR") == before
    assert not used[0].exists()


@pytest.mark.parametrize("port", [-1, 0, 65536, 99999999])
def test_serve__port_out_of_range(port, monkeypatch):
    monkeypatch.setattr(server, "require_gradio", lambda: None)
    with pytest.raises(ValueError, match=f"from 1 to 65535, got {port}"):
        server.serve("nothing", port=port)
