"""The commands of README.md and of the guides: programs, options and targets exist."""

import re
import shlex

import pytest

from keras_tnt import cli
from tests.helpers import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "RELEASING.md")),
    *sorted(ROOT.glob("docs/*.md")),
]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE)[0].split()


def commands(page):
    """The words of each command in the page's blocks of shell code."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^ *```sh\n(.*?)```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            try:
                yield shlex.split(line, comments=True)
            except ValueError:  # a quotation over several lines
                continue


def cases(program):
    return [
        pytest.param(words[1:], id=f"{page.stem}: {shlex.join(words[1:])}"[:60])
        for page in PAGES
        for words in commands(page)
        if words[:1] == [program]
    ]


@pytest.mark.parametrize("arguments", cases("keras-tnt"))
def test_command__parses(arguments):
    """An option that does not exist ends the program."""
    assert cli._parser().parse_args(arguments).run


@pytest.mark.parametrize("arguments", cases("make"))
def test_make__target_exists(arguments):
    assert arguments[0] in TARGETS


@pytest.mark.parametrize("arguments", cases("python"))
def test_script__exists(arguments):
    if arguments[0] != "-m":
        assert (ROOT / arguments[0]).is_file()
