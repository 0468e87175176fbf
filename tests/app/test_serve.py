"""The server of the page: what it leaves behind."""

import os
from pathlib import Path

import pytest

from keras_tnt.app import page


@pytest.mark.parametrize("before", [None, "/elsewhere"])
def test_serve__restores_the_environment(before, monkeypatch):
    """Gradio's directory is the page's own while it runs, and deleted afterwards."""
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    if before:
        monkeypatch.setenv("GRADIO_TEMP_DIR", before)
    used = []

    def build(*_):
        used.append(Path(os.environ["GRADIO_TEMP_DIR"]))
        assert used[0].is_dir()
        raise FileNotFoundError("no model")

    monkeypatch.setattr(page, "build_app", build)
    with pytest.raises(FileNotFoundError, match="no model"):
        page.serve("nothing")
    assert os.environ.get("GRADIO_TEMP_DIR") == before
    assert not used[0].exists()


@pytest.mark.parametrize("port", [-1, 0, 65536, 99999999])
def test_serve__port_out_of_range(port):
    with pytest.raises(ValueError, match=f"from 1 to 65535, got {port}"):
        page.serve("nothing", port=port)
