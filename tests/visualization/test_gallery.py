"""The script that makes the gallery runs, on any model."""

import importlib.util
import os

import pytest

from tests.helpers import ROOT
from tests.helpers.small import small

SCRIPT = ROOT / "scripts" / "make_gallery.py"


def load_script():
    spec = importlib.util.spec_from_file_location("make_gallery", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def images_of(page):
    """The names of the page's own images, in order."""
    parts = page.read_text("utf-8").split("](images/")[1:]
    return [part.partition(")")[0] for part in parts]


@pytest.mark.end_to_end
def test_make_gallery__page_and_images(tmp_path, monkeypatch):
    script = load_script()
    (tmp_path / "docs" / "images").mkdir(parents=True)
    monkeypatch.setattr(script, "PAGE", tmp_path / "docs" / "gallery.md")
    monkeypatch.setattr(script, "SAMPLES", 100)
    small(
        depth=1, classes=10, patch_size=14, inner_stride=7, input_shape=(28, 28, 1)
    ).save(tmp_path / "model.keras")
    arguments = ["make_gallery", "--model", str(tmp_path / "model.keras")]
    monkeypatch.setattr("sys.argv", arguments)
    script.main()
    assert sorted(os.listdir(tmp_path / "docs")) == ["gallery.md", "images"]
    images = set(images_of(tmp_path / "docs" / "gallery.md"))
    others = {"segmentation.png", "detection.png"}  # of benchmarks/dense_tasks.py
    assert set(os.listdir(tmp_path / "docs" / "images")) == images - others


def test_gallery__equals_template():
    """All but the line that says which model it is."""
    page = (SCRIPT.parents[1] / "docs" / "gallery.md").read_text("utf-8")
    template = SCRIPT.with_name("gallery_template.md").read_text("utf-8")
    before, after = template.split("{model}")
    assert page.startswith(before)
    assert page.endswith(after)
    for name in images_of(SCRIPT.parents[1] / "docs" / "gallery.md"):
        assert (SCRIPT.parents[1] / "docs" / "images" / name).is_file()
