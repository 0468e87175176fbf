"""Opening data sets: the embedded one, directories, and what tfds has prepared."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.data import fashion_mnist_mini, image_dataset, load_dataset
from keras_tnt.data.bundled import bundled_directory, import_tfds
from keras_tnt.data.records import record_places
from keras_tnt.images import decode_image
from tests.helpers.datasets import encoded, photo, write_directory

tfds = import_tfds()


class KerasTntShapes(tfds.core.GeneratorBasedBuilder):
    """Images in several files, with other features beside label and image."""

    VERSION = tfds.core.Version("1.0.0")
    # From a module of a package tfds would look for files beside it.
    __module__ = "shapes"

    def _info(self):
        features = {
            "mask": tfds.features.Image(shape=(None, None, 1)),
            "kind": tfds.features.ClassLabel(num_classes=3),
            "image": tfds.features.Image(shape=(None, None, 3)),
            "name": tfds.features.Text(),
            "bird": tfds.features.ClassLabel(names=["auk", "emu"]),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "bird"),
        )

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(30),
            "test": self._generate_examples(7),
        }

    def _generate_examples(self, number):
        for index in range(number):
            yield (
                index,
                {
                    "mask": np.zeros((2, 2, 1), "uint8"),
                    "kind": index % 3,
                    "image": np.roll(photo(20, 30), index, axis=1),
                    "name": str(index),
                    "bird": index % 2,
                },
            )


def prepare(data_dir, **options):
    builder = KerasTntShapes(data_dir=data_dir, **options)
    config = tfds.download.DownloadConfig(
        try_download_gcs=False, num_shards=3, register_checksums=False
    )
    builder.download_and_prepare(download_config=config)
    return builder


@pytest.fixture(scope="module", params=["tfrecord", "array_record"])
def prepared(request, tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("tfds"), file_format=request.param)


def read_by_tfds(builder, split):
    """Images and labels, file after file."""
    if builder.info.file_format == tfds.core.FileFormat.ARRAY_RECORD:
        elements = builder.as_data_source(split)
    else:
        config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        elements = builder.as_dataset(split, read_config=config).as_numpy_iterator()
    return [(element["image"], element["bird"]) for element in elements]


def contents_of(source, order=None):
    order = range(len(source)) if order is None else order
    pairs = [source.fetch(tf.constant(index, tf.int64)) for index in order]
    return [(contents.numpy(), int(label)) for contents, label in pairs]


def assert_reads(source, expected):
    """The source has the same images and labels, in the same order."""
    expected = list(expected)
    assert len(source) == len(expected)
    for (contents, label), (image, other) in zip(
        contents_of(source), expected, strict=True
    ):
        assert label == other
        decoded = decode_image(contents).numpy()
        np.testing.assert_array_equal(decoded[..., : image.shape[-1]], image)


@pytest.mark.parametrize("split", ["test[:5%]", "train[11990:]", "test[-3:]+train[:2]"])
def test_load_dataset__bundled_equals_tfds(split):
    source = load_dataset("fashion_mnist_mini", split)
    assert_reads(source, fashion_mnist_mini(split).as_numpy_iterator())
    assert source.name == f"fashion_mnist_mini/1.0.0 {split}"
    name = source.describe(tf.constant(1, tf.int64)).numpy().decode()
    assert name == f"record 1 of fashion_mnist_mini/1.0.0, split {split}"


@pytest.mark.parametrize("split", ["train", "test", "train[40%:80%]", "train[-1:]"])
def test_load_dataset__prepared_equals_tfds(prepared, split):
    source = load_dataset(str(prepared.data_dir), split)
    assert source.class_names == ("auk", "emu")
    assert_reads(source, read_by_tfds(prepared, split))
    order = [len(source) - 1, 0, len(source) // 2]
    everything = contents_of(source)
    assert contents_of(source, order) == [everything[index] for index in order]
    assert contents_of(source.in_memory()) == everything


def test_load_dataset__prepared_by_name(prepared):
    for name in ("keras_tnt_shapes", "keras_tnt_shapes:1.0.0"):
        data_dir = Path(prepared.data_dir).parents[1]
        dataset = image_dataset(
            name, "test", batch_size=4, image_size=16, data_dir=data_dir
        )
        assert sum(float(tf.reduce_sum(weights)) for _, _, weights in dataset) == 7


def test_load_dataset__prepares(tmp_path):
    """Here without a download: the builder makes its images itself."""
    source = load_dataset("keras_tnt_shapes", "test", data_dir=tmp_path)
    assert len(source) == 7
    assert (tmp_path / "keras_tnt_shapes" / "1.0.0" / "dataset_info.json").exists()


def test_load_dataset__cannot_prepare(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("no way to the server")

    monkeypatch.setattr(KerasTntShapes, "_split_generators", fail)
    with pytest.raises(
        FileNotFoundError, match=r"not prepared in .*no way to the server"
    ):
        load_dataset("keras_tnt_shapes", "test", data_dir=tmp_path)


def test_record_places__offsets():
    path = next(str(path) for path in bundled_directory().glob("*test*"))
    places = record_places(path)
    assert len(places) == 2000
    assert places[0] == 0
    sizes = [len(record.numpy()) + 16 for record in tf.data.TFRecordDataset(path)]
    np.testing.assert_array_equal(np.diff(places), sizes[:-1])


@pytest.mark.parametrize("cut", [1, 100])
def test_load_dataset__damaged_records(cut, tmp_path):
    copy = shutil.copytree(bundled_directory(), tmp_path / "1.0.0")
    file = next(copy.glob("*test*"))
    data = file.read_bytes()
    file.write_bytes(data[:-cut])
    with pytest.raises(ValueError, match="is damaged: it ends inside a record"):
        load_dataset(copy, "test")
    whole = shutil.copy(next(bundled_directory().glob("*test*")), tmp_path)
    file.write_bytes(data[: record_places(whole)[-1]])
    with pytest.raises(ValueError, match="it has 1999 of 2000 records"):
        load_dataset(copy, "test")


@pytest.mark.parametrize(
    ("data", "split", "error", "message"),
    [
        ("fashion_mnist_mini", None, ValueError, r"one of \['test', 'train'\]"),
        ("fashion_mnist_mini", "val", ValueError, "Unknown split 'val'.*'train'"),
        ("fashion_mnist_mini", "test[:0%]", ValueError, "Unknown or empty split"),
        ("fashion_mnist_miny", "test", ValueError, "Did you mean fashion_mnist_mini"),
        ("cifar10:9.9.9", "test", ValueError, "tfds cannot open 'cifar10:9.9.9'"),
        ("./photos", None, FileNotFoundError, "There is no directory './photos'"),
    ],
)
def test_load_dataset__invalid_arguments(data, split, error, message, tmp_path):
    with pytest.raises(error, match=message):
        load_dataset(data, split, data_dir=tmp_path)


def test_load_folder__images(tmp_path):
    directory = write_directory(tmp_path / "photos", {"bee": 2, "ant": 3})
    odd = directory / "ant"
    (odd / "notes.txt").write_text("no image")
    (odd / ".hidden.jpeg").write_bytes(b"")
    (odd / "deeper").mkdir()
    (odd / "deeper" / "UPPER.JPG").write_bytes((odd / "000.jpeg").read_bytes())
    (odd / "gray.png").write_bytes(encoded(photo(9, 9), "gray PNG"))
    (directory / ".cache").mkdir()
    (directory / "readme.md").write_text("no class")
    for data in (directory, str(directory) + "/"):
        source = load_dataset(data)
        assert source.class_names == ("ant", "bee")
        assert len(source) == 7
        assert [label for _, label in contents_of(source)] == [0] * 5 + [1] * 2
    names = [source.describe(index).numpy().decode() for index in range(7)]
    assert names == sorted(names)
    paths = {str(path.relative_to(directory)) for path in map(Path, names)}
    assert {"ant/deeper/UPPER.JPG", "ant/gray.png", "bee/001.jpeg"} < paths
    assert contents_of(source)[6][0] == (directory / "bee" / "001.jpeg").read_bytes()


def test_load_folder__splits(tmp_path):
    directory = tmp_path / "photos"
    write_directory(directory / "train", {"ant": 2, "bee": 3})
    write_directory(directory / "val", {"bee": 2})  # not all classes need be there
    assert len(load_dataset(directory, "train")) == 5
    for split in ("val", "validation"):
        source = load_dataset(directory, split)
        assert source.class_names == ("ant", "bee")
        assert [label for _, label in contents_of(source)] == [1, 1]
    for split in (None, "test", "train[:10%]"):
        with pytest.raises(ValueError, match=r"splits \['train', 'validation'\]"):
            load_dataset(directory, split)
    write_directory(directory / "test", {"cat": 1})
    with pytest.raises(ValueError, match=r"does not have: \['cat'\]"):
        load_dataset(directory, "test")


def test_load_folder__class_named_train(tmp_path):
    directory = write_directory(tmp_path / "vehicles", {"bus": 1, "train": 1})
    assert load_dataset(directory).class_names == ("bus", "train")
    with pytest.raises(ValueError, match="has no splits but class directories"):
        load_dataset(directory, "train")


def test_load_folder__no_images(tmp_path):
    with pytest.raises(ValueError, match=r"Expected a directory for each class in"):
        load_dataset(tmp_path)
    directory = write_directory(tmp_path / "photos", {"ant": 1})
    (directory / "bee").mkdir()
    with pytest.raises(ValueError, match=r"These have none: \['bee'\]"):
        load_dataset(directory)


def test_load_dataset__not_labeled_images(tmp_path, monkeypatch):
    def info(features):
        def build(self):
            features_dict = tfds.features.FeaturesDict(features)
            return tfds.core.DatasetInfo(builder=self, features=features_dict)

        return build

    text = {
        "text": tfds.features.Text(),
        "bird": tfds.features.ClassLabel(num_classes=2),
    }
    deep = {
        "image": tfds.features.Image(shape=(4, 4, 1), dtype=np.uint16),
        "bird": tfds.features.ClassLabel(num_classes=2),
    }
    rows = {"text": "a", "image": np.zeros((4, 4, 1), "uint16"), "bird": 1}
    for features, message in (
        (text, "not a set of images"),
        (deep, "uint16, expected"),
    ):
        monkeypatch.setattr(KerasTntShapes, "_info", info(features))
        row = {key: rows[key] for key in features}
        monkeypatch.setattr(
            KerasTntShapes,
            "_generate_examples",
            lambda self, number, row=row: [(n, row) for n in range(3)],
        )
        directory = tmp_path / message
        with pytest.raises(ValueError, match=message):
            load_dataset(str(prepare(directory).data_dir), "test")
