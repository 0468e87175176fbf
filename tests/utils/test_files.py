"""Files that are written whole or not at all, and directories for results."""

import os
from pathlib import Path

import pytest

from keras_tnt.utils.files import (
    atomic_write,
    create_directory,
    create_or_next_directory,
    local_path,
)


def write(path):
    with atomic_write(path) as unfinished:
        unfinished.write_text("new")


def test_atomic_write__replaces(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with atomic_write(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
        assert unfinished.parent == path.parent
        assert unfinished.suffix == path.suffix
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == [path.name]


def test_atomic_write__failure_keeps_file(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")

    def write_half():
        with atomic_write(path) as unfinished:
            unfinished.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [path.name]


def test_atomic_write__target_taken(tmp_path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(OSError, match=r"report\.json"):
        write(tmp_path / "report.json")
    assert os.listdir(tmp_path) == ["report.json"]


URLS = ["gs://bucket/run", "s3://b", "hdfs://host/x", Path("gs://bucket"), "file:///r"]


@pytest.mark.parametrize("path", URLS, ids=str)
@pytest.mark.parametrize(
    "write",
    [local_path, create_directory, lambda p: create_or_next_directory(p, "d"), write],
    ids=["local_path", "create_directory", "create_or_next_directory", "atomic_write"],
)
def test_local_path__urls_are_refused(write, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="it is a URL"):
        write(path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", ["runs/x", "/tmp/a:b", "C:/runs", "a:b", Path("r")])
def test_local_path__paths_pass(path):
    assert local_path(path) == Path(path)


def test_create_or_next_directory__next_free_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = [create_or_next_directory(None, "runs/demo").name for _ in range(3)]
    assert made == ["demo", "demo-2", "demo-3"]
    (tmp_path / "runs" / "demo-2").rmdir()
    assert create_or_next_directory(None, "runs/demo") == Path("runs/demo-2")
    assert create_or_next_directory("mine", "runs/demo") == Path("mine")
