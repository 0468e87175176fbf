"""The unpacked archives of iNaturalist-2019."""

import json

import pytest
import tensorflow as tf

from keras_tnt.data import load_dataset
from tests.helpers.datasets import write_directory
from tests.helpers.inaturalist import write_inaturalist


def files_and_labels(source):
    pairs = []
    for index in range(len(source)):
        contents, label = source.fetch(tf.constant(index, tf.int64))
        path = source.describe(tf.constant(index, tf.int64)).numpy().decode()
        with open(path, "rb") as file:
            assert contents.numpy() == file.read()
        pairs.append((path, int(label)))
    return pairs


def test_load_inaturalist__files_and_labels(tmp_path):
    write_inaturalist(tmp_path)
    names = ("Larus canus", "Larus fuscus", "Rosa canina")  # by id: 2, 10, 400
    train = load_dataset(tmp_path, "train")
    assert train.class_names == names
    assert sorted(files_and_labels(train)) == [
        (str(tmp_path / "train_val2019" / file), label)
        for file, label in (
            ("Birds/10/train2.jpg", 1),
            ("Birds/2/train1.jpg", 0),
            ("Birds/2/train3.jpg", 0),
            ("Plants/400/train0.jpg", 2),
        )
    ]
    for split in ("validation", "val"):
        source = load_dataset(f"{tmp_path}/", split)
        assert source.class_names == names
        assert sorted(label for _, label in files_and_labels(source)) == [1, 2]
        assert source.name.endswith(split)


def test_load_inaturalist__image_folder_with_annotations_beside(tmp_path):
    """Arranged by hand: the images are no longer in the archive's directory."""
    for split in ("train", "validation"):
        write_directory(tmp_path / split, {"2": 1, "10": 2})
    (tmp_path / "train2019.json").write_text("{}")
    source = load_dataset(tmp_path, "validation")
    assert (source.class_names, len(source)) == (("10", "2"), 3)


@pytest.mark.parametrize("split", [None, "test", "train[:10%]"])
def test_load_inaturalist__unknown_split(split, tmp_path):
    write_inaturalist(tmp_path)
    with pytest.raises(ValueError, match=r"has the splits \['train', 'validation'\]"):
        load_dataset(tmp_path, split)


def test_load_inaturalist__missing_files(tmp_path):
    write_inaturalist(tmp_path)
    (tmp_path / "train_val2019/Plants/400/val1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"val1.jpg.*Unpack train_val2019.tar"):
        load_dataset(tmp_path, "validation")
    (tmp_path / "val2019.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"Unpack val2019.json.tar.gz beside"):
        load_dataset(tmp_path, "validation")


@pytest.mark.parametrize(
    "change",
    [
        {"images": []},
        {"annotations": []},
        {"annotations": [{"id": 0, "image_id": 100, "category_id": 3}]},
        {"categories": None},
    ],
)
def test_load_inaturalist__not_annotations(change, tmp_path):
    path = write_inaturalist(tmp_path) / "train2019.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=r"train2019.json' is not an annotation file"):
        load_dataset(tmp_path, "train")
    path.write_text("{")
    with pytest.raises(ValueError, match=r"train2019.json' is not an annotation file"):
        load_dataset(tmp_path, "train")
