"""Files that are written whole or not at all."""

import os

import pytest

from keras_tnt.utils.files import atomic_write


def write(path):
    with atomic_write(path) as unfinished:
        unfinished.write_text("new")


def test_a_file_is_replaced_by_what_was_written_beside_it(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with atomic_write(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
        assert unfinished.parent == path.parent
        assert unfinished.suffix == path.suffix
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == [path.name]


def test_a_file_stays_when_writing_fails(tmp_path):
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


def test_nothing_is_left_behind_when_the_place_is_taken(tmp_path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(OSError, match=r"report\.json"):
        write(tmp_path / "report.json")
    assert os.listdir(tmp_path) == ["report.json"]
