"""Image folders: which directories are splits, classes or neither."""

import itertools
import re

import pytest

from keras_tnt.data import load_dataset
from tests.helpers.datasets import write_directory

CLASSES = {"ant": 1, "bee": 2, "cat": 1}


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "valid", "test"),
        ("Training", "Validation", "Testing"),
        ("TRAIN", "dev", "TEST"),
        ("train", "Eval", "test"),
    ],
)
def test_load_folder__knows_the_usual_names_of_splits(
    train, validation, test, tmp_path
):
    for number, name in enumerate((train, validation, test)):
        write_directory(tmp_path / name, {"ant": 1, "bee": 1 + number, "cat": 1})
    names = {"train": train, "validation": validation, "test": test}
    for number, (split, name) in enumerate(names.items()):
        for each in (split, name, name.upper()):
            source = load_dataset(tmp_path, each)
            assert source.class_names == ("ant", "bee", "cat")
            assert len(source) == 3 + number
            assert source.name == str(tmp_path / name)
    for split in (None, "tset", "train[:10%]"):
        message = r"has the splits \['test', 'train', 'validation'\]"
        with pytest.raises(ValueError, match=message):
            load_dataset(tmp_path, split)


@pytest.mark.parametrize("split", [None, "train", "extra"])
@pytest.mark.parametrize(
    "names", [("train", "val", "extra"), ("train", "extra"), ("Dev", "backup")]
)
def test_load_folder__refuses_what_has_splits_and_others(names, split, tmp_path):
    for name in names:
        write_directory(tmp_path / name, CLASSES)
    message = rf"Only some .* but not \['{names[-1]}'\]"
    with pytest.raises(ValueError, match=message):
        load_dataset(tmp_path, split)


def test_load_folder__refuses_several_splits_with_images_and_others(tmp_path):
    directory = write_directory(tmp_path / "data", {"train": 1, "val": 1, "extra": 1})
    with pytest.raises(ValueError, match=r"Only some .*not \['extra'\]"):
        load_dataset(directory)


def test_load_folder__refuses_two_of_a_split(tmp_path):
    for name in ("train", "val", "valid"):
        write_directory(tmp_path / name, CLASSES)
    with pytest.raises(ValueError, match=r"same split: \['train', 'val', 'valid'\]"):
        load_dataset(tmp_path, "train")


@pytest.mark.parametrize("name", ["photos", "ant"])
def test_load_folder__refuses_classes_that_have_splits(name, tmp_path):
    """A data set one level too deep, and a class that has the splits."""
    for split in ("train", "test"):
        write_directory(tmp_path / name / split, {"0": 1})
    message = f"Class directory {str(tmp_path / name)!r} has the directories"
    with pytest.raises(ValueError, match=re.escape(message)):
        load_dataset(tmp_path)


def test_load_folder__leaves_out_what_archives_add_and_says_so(tmp_path, caplog):
    added = ("__MACOSX", ".ipynb_checkpoints", "@eaDir")
    write_directory(tmp_path / "train", CLASSES)
    for parent, name in itertools.product(("", "train", "train/ant"), added):
        write_directory(tmp_path / parent / name, {"dog": 1})
    source = load_dataset(tmp_path, "train")
    assert source.class_names == ("ant", "bee", "cat")
    assert len(source) == 4
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith(f"Left out of {tmp_path / 'train'}: ")
    assert all(name in line for name in added)


def test_load_folder__names_the_files_it_does_not_read(tmp_path, caplog):
    directory = write_directory(tmp_path / "photos", CLASSES)
    photo = (directory / "ant" / "000.jpeg").read_bytes()
    for name in ("a.jfif", "b.JPE", "c.jif"):
        (directory / "ant" / name).write_bytes(photo)
    for name in ("a.tif", "b.TIF", "c.heic", "notes.txt", ".DS_Store"):
        (directory / "bee" / name).write_bytes(b"")
    (directory / "above.jpg").write_bytes(photo)
    assert len(load_dataset(directory)) == 4 + 3
    (line,) = (record.getMessage() for record in caplog.records)
    assert line == (
        f"Left out of {directory}: 1 images beside the class directories, files that "
        "are not read as images (2 .tif, 1 .heic, 1 .txt)."
    )


def test_load_folder__names_the_formats_of_a_class_without_images(tmp_path):
    directory = write_directory(tmp_path / "photos", CLASSES)
    for path in (directory / "bee").iterdir():
        path.rename(path.with_suffix(".tif"))
    with pytest.raises(ValueError, match=r"none: \['bee'\].*formats: 2 \.tif"):
        load_dataset(directory)


def test_load_folder__says_nothing_where_nothing_is_left_out(tmp_path, caplog):
    load_dataset(write_directory(tmp_path / "photos", CLASSES))
    assert caplog.records == []
