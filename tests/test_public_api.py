"""docs/api.md lists the public names: those of `__all__`, no more and no fewer."""

import importlib
import importlib.util
import re

import pytest

from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
# Module: the names in its table.
SECTIONS = {
    section.partition("\n")[0]: re.findall(r"^\| `(\w+)` \| \S", section, re.MULTILINE)
    for section in PAGE.split("\n## ")[1:]
}
EXTRAS = {"keras_tnt.keras_hub": "keras_hub", "keras_tnt.app": "gradio"}


def load_script():
    path = ROOT / "scripts" / "make_api_page.py"
    spec = importlib.util.spec_from_file_location("make_api_page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SECTIONS)
def test_api_page__lists_public_names(name):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name], reason=f"{EXTRAS[name]} is not installed")
    module = importlib.import_module(name)
    assert SECTIONS[name] == load_script().public_names(module)
    for public in SECTIONS[name]:
        assert hasattr(module, public)


def test_api_page__lists_modules():
    assert tuple(SECTIONS) == load_script().MODULES
