"""The documentation site: it builds strictly, with every public name."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.helpers import ROOT

pytest.importorskip("mkdocs", reason="the extra docs is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as by `make docs`: a broken link or reference ends it."""
    out = tmp_path_factory.mktemp("site")
    process = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", out],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return out


@pytest.mark.slow
def test_site__documents_public_names(site):
    """Every name in the tables leads to a heading and, of a function, its arguments."""
    page = (site / "docs" / "api" / "index.html").read_text(encoding="utf-8")
    source = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    links = re.findall(r'<td><a [^>]*href="([^"]*)"[^>]*><code>', page)
    assert len(links) == len(re.findall(r"^\| `", source, re.MULTILINE))
    for link in links:
        target, _, anchor = link.partition("#")
        text = (site / "docs" / "api" / target / "index.html").read_text("utf-8")
        assert f'id="{anchor}"' in text, link


@pytest.mark.parametrize("text", ["include_preprocessing", "inner_num_heads"])
def test_site__composed_docstrings(site, text):
    page = site / "docs" / "api" / "keras_tnt" / "index.html"
    assert text in page.read_text(encoding="utf-8")
    assert "{common_arguments}" not in page.read_text(encoding="utf-8")


def test_site__search_finds_guides_and_docstrings(site):
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    found = {entry["location"] for entry in index["docs"]}
    assert "docs/practice/#lora" in found
    assert "docs/api/keras_tnt.layers/#keras_tnt.layers.tnt_block.TNTBlock" in found


def test_readme__is_short():
    """Everything else is in the guides."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120


def test_site__loads_nothing_from_elsewhere(site):
    page = (site / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?://', page)
