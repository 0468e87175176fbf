"""Directories that an export creates and removes."""

import pytest

from keras_tnt.export.publish import directory_beside
from keras_tnt.export.saved_model import export_saved_model
from tests.helpers.small import dense_classifier


def fail_after(write, target):
    """Write in the temporary directory beside a target, and fail."""
    with directory_beside(target) as directory:
        write(directory)
        raise KeyError


def test_directory_beside__removes_what_it_created(tmp_path):
    (tmp_path / "kept").mkdir()
    target = tmp_path / "kept" / "new" / "models" / "1"
    with pytest.raises(KeyError):
        fail_after(lambda directory: (directory / "unfinished").touch(), target)
    assert [path.name for path in tmp_path.rglob("*")] == ["kept"]


def test_directory_beside__keeps_what_another_wrote(tmp_path):
    target = tmp_path / "models" / "1"
    with pytest.raises(KeyError):
        fail_after(lambda directory: (directory.parent / "other").touch(), target)
    assert [path.name for path in target.parent.iterdir()] == ["other"]


def test_directory_beside__keeps_the_target(tmp_path):
    target = tmp_path / "models" / "1"
    with directory_beside(target) as directory:
        directory.rename(target)
        directory.mkdir()
    assert [path.name for path in target.parent.iterdir()] == ["1"]


def test_export_saved_model__refusal_leaves_no_directory(tmp_path):
    with pytest.raises(ValueError, match="image_size"):
        export_saved_model(
            dense_classifier(), tmp_path / "new" / "model", image_size=(64, 64)
        )
    assert list(tmp_path.iterdir()) == []
