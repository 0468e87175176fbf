"""Opening data sets with boxes, and what is wrong with them."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tnt.data import box_dataset, check_boxes, load_box_dataset
from keras_tnt.data.box_source import encode_objects
from keras_tnt.data.bundled import import_tfds
from keras_tnt.data.error_handling import readable_errors
from tests.helpers.boxes import (
    CLASS_NAMES,
    box_source,
    change_annotations,
    random_objects,
    write_boxes,
)

tfds = import_tfds()


def objects_of(source, index, size=(24, 20)):
    _, objects = source.fetch(tf.constant(index, tf.int64))
    return source.objects(objects.numpy(), size)


def test_load_box_dataset__splits(tmp_path):
    write_boxes(tmp_path, {"train": 2, "val": 3})
    source = load_box_dataset(str(tmp_path), "validation")
    assert (len(source), source.class_names) == (3, CLASS_NAMES)
    path = source.describe(tf.constant(1, tf.int64)).numpy().decode()
    assert path == str(tmp_path / "images" / "val" / "001.png")
    for each in (source, source.in_memory()):
        found = objects_of(each, 1)
        _, rows = random_objects(1)
        np.testing.assert_array_equal(found[:, :5], rows)
        sides = rows[:, 2:4] - rows[:, :2]
        np.testing.assert_array_equal(found[:, 6], np.prod(sides, axis=1))


def test_load_box_dataset__layout_of_coco(tmp_path):
    """Splits with years, and crowds with areas of their own."""
    write_boxes(tmp_path, {"train": 1})
    (tmp_path / "images" / "train").rename(tmp_path / "train2017")
    annotations = tmp_path / "annotations" / "instances_train2017.json"
    (tmp_path / "annotations" / "train.json").rename(annotations)
    (tmp_path / "annotations" / "captions_train2017.json").write_text("{}")

    def change(record):
        record["annotations"][0] |= {"iscrowd": 1, "area": 7.5}

    change_annotations(tmp_path, change, "annotations/instances_train2017.json")
    source = load_box_dataset(str(tmp_path), "train")
    assert objects_of(source, 0)[:, 5:].tolist() == [[1, 7.5]]
    with pytest.raises(ValueError, match=r"'test': .* has the splits \['train'\]"):
        load_box_dataset(str(tmp_path), "test")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda d: (d / "annotations.json").unlink(),
            FileNotFoundError,
            r"files such as annotations/instances_train2017\.json, found \[\]",
        ),
        (
            lambda d: (d / "annotations.json").write_text("[1"),
            ValueError,
            "is not JSON",
        ),
        (
            lambda d: (d / "annotations.json").write_text("[]"),
            ValueError,
            "is not in COCO's format: expected a JSON object",
        ),
        (
            lambda d: change_annotations(d, lambda r: r.pop("images")),
            ValueError,
            "expected a list of images, got NoneType",
        ),
        (
            lambda d: change_annotations(d, lambda r: r["annotations"][0].pop("bbox")),
            ValueError,
            r"expected \['bbox', 'category_id', 'image_id'\] in each",
        ),
        (
            lambda d: change_annotations(
                d, lambda r: r["annotations"][1].update(category_id=1)
            ),
            ValueError,
            "annotation 100 in .* is of the category 1, expected one of the 3",
        ),
        (
            lambda d: change_annotations(
                d, lambda r: r["annotations"][1].update(image_id=1)
            ),
            ValueError,
            "is of the image 1, which is not listed",
        ),
        (
            lambda d: change_annotations(
                d, lambda r: r["annotations"][1].update(bbox=[1, 2, 3])
            ),
            ValueError,
            r"has the bbox \[1, 2, 3\], expected \[left, top, width, height\]",
        ),
        (
            lambda d: change_annotations(d, lambda r: r["categories"][0].update(id=6)),
            ValueError,
            r"categories with an id of their own .* got \[6, 6, 7\]",
        ),
        (
            lambda d: change_annotations(d, lambda r: r["images"][0].update(id=11)),
            ValueError,
            "2 images with 1 ids",
        ),
        (
            lambda d: (d / "images" / "001.png").unlink(),
            FileNotFoundError,
            r"1 of the 2 images in .* do not exist, such as .*001\.png",
        ),
    ],
)
def test_load_box_dataset__wrong_directories(change, error, message, tmp_path):
    write_boxes(tmp_path, {"": 2})
    change(tmp_path)
    with pytest.raises(error, match=message):
        load_box_dataset(str(tmp_path))


def test_load_box_dataset__splits_that_do_not_fit(tmp_path):
    write_boxes(tmp_path / "one", {"": 1})
    with pytest.raises(ValueError, match=r"has no splits but one annotations\.json"):
        load_box_dataset(str(tmp_path / "one"), "train")
    write_boxes(tmp_path / "two", {"train": 1, "training": 1})
    with pytest.raises(ValueError, match="Several files are the split 'train'"):
        load_box_dataset(str(tmp_path / "two"), "train")
    (tmp_path / "two" / "annotations" / "training.json").unlink()
    (tmp_path / "two" / "images").rename(tmp_path / "two" / "pictures")
    with pytest.raises(FileNotFoundError, match="no directory of the images of"):
        load_box_dataset(str(tmp_path / "two"), "train")


class Pets(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Images with a sequence of objects, as `coco` has it."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        objects = {
            "bbox": tfds.features.BBoxFeature(),
            "label": tfds.features.ClassLabel(names=CLASS_NAMES),
            "is_crowd": np.bool_,
            "area": np.int64,
        }
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "image/id": np.int64,
            "objects": tfds.features.Sequence(objects),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number in range(3):
            image, rows = random_objects(number)
            objects = [
                {
                    "bbox": tfds.features.BBox(
                        top / 24, left / 20, bottom / 24, right / 20
                    ),
                    "label": int(kind),
                    "is_crowd": number == 1,
                    "area": 5,
                }
                for left, top, right, bottom, kind in rows
            ]
            if number == 2:
                objects = []
            image = np.repeat(image[..., None], 3, axis=-1)
            yield number, {"image": image, "image/id": number, "objects": objects}


def test_load_box_dataset__tfds(tmp_path):
    builder = Pets(data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    source = load_box_dataset(str(builder.data_dir), "train")
    assert (len(source), source.class_names) == (3, CLASS_NAMES)
    found = sorted(
        (objects_of(source, index) for index in range(3)), key=lambda rows: len(rows)
    )
    _, single = random_objects(0)
    _, pair = random_objects(1)
    assert len(found[0]) == 0
    np.testing.assert_allclose(found[1][:, :5], single, atol=1e-5)
    np.testing.assert_allclose(found[2][:, :5], pair, atol=1e-5)
    assert found[2][:, 5:].tolist() == [[1, 5], [1, 5]]
    check_boxes(source)
    labels = import_tfds().features.ClassLabel(names=CLASS_NAMES)
    other = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(), "label": labels}
    )
    builder.info._features = other
    from keras_tnt.data.box_records import load_prepared_boxes

    with pytest.raises(ValueError, match="is not a set of images with boxes"):
        load_prepared_boxes(builder, "train")


FAULTS = [
    ([0, 0, 5, 5, 3], r"has an object of class 3, expected 0 to 2"),
    ([0, 0, 5, np.nan, 0], r"has the box \[0, 0, 5, nan\], expected \[left, top"),
    ([5, 0, 3, 5, 0], r"has the box \[5, 0, 3, 5\], expected \[left, top, right"),
    ([0, 0, 22, 5, 0], r"\[0, 0, 22, 5\] .* expected one inside of its 24x20 pixels"),
    ([-2, 0, 5, 5, 0], "expected one inside of its 24x20 pixels"),
    ([0, 0, 5, 26, 0], "expected one inside of its 24x20 pixels"),
]


@pytest.mark.parametrize(("row", "message"), FAULTS)
def test_objects__faults(row, message, tmp_path):
    source = box_source(tmp_path, 1)
    with pytest.raises(ValueError, match=message):
        source.objects(encode_objects([[*row, 0, 1]]), (24, 20))


def test_objects__rounded_boxes_and_boxes_without_area(tmp_path):
    """COCO has boxes that exceed an image by less than a pixel, and lines."""
    source = box_source(tmp_path, 1)
    rows = [[-0.5, 3, 20.4, 24.9, 0, 0, 1], [4, 4, 4, 9, 1, 0, 0]]
    found = source.objects(encode_objects(rows), (24, 20))
    assert found.tolist() == [[0, 3, 20, 24, 0, 0, 1]]


def test_objects__too_many_and_another_size(tmp_path):
    source = dataclasses.replace(box_source(tmp_path, 1), max_boxes=1)
    row = [0, 0, 5, 5, 0, 0, 25]
    crowd = [0, 0, 5, 5, 0, 1, 25]
    assert len(source.objects(encode_objects([row, crowd]), (24, 20))) == 2
    with pytest.raises(ValueError, match="has 2 objects, expected 1 at most"):
        source.objects(encode_objects([row, row]), (24, 20))
    with pytest.raises(ValueError, match="has 24x20 pixels, expected 48x40, the size"):
        source.objects(encode_objects([row], (48, 40)), (24, 20))


def write_faults(directory):
    """A directory with an image of each kind of fault; returns what is said of each."""
    write_boxes(directory, {"": 6})
    (directory / "images" / "001.png").write_bytes(b"")
    Image.fromarray(np.zeros((20, 20), "uint8")).save(directory / "images" / "002.png")

    def change(record):
        rows = {row["image_id"]: row for row in record["annotations"]}
        rows[13]["bbox"] = [10, 0, 30, 5]
        rows[14]["bbox"] = [0, 0, -1, 5]

    change_annotations(directory, change)
    return [
        r"001\.png cannot be read or decoded: it is empty",
        r"002\.png has 20x20 pixels, expected 24x20, the size in its annotations",
        r"003\.png has the box \[10, 0, 40, 5\] .* expected one inside",
        r"004\.png has the box \[0, 0, -1, 5\], expected \[left",
    ]


def test_check_boxes__names_faults(tmp_path):
    said = write_faults(tmp_path)
    source = load_box_dataset(str(tmp_path))
    with pytest.raises(ValueError, match=".*".join(said)):
        check_boxes(source)
    assert not source.corrupt
    with pytest.raises(ValueError, match=".*".join(said[1:])):
        check_boxes(source, skip_corrupt=True)
    assert list(source.corrupt) == [1]


def test_box_dataset__names_a_fault(tmp_path):
    said = write_faults(tmp_path)
    (tmp_path / "images" / "001.png").write_bytes(
        (tmp_path / "images" / "000.png").read_bytes()
    )
    source = load_box_dataset(str(tmp_path))
    batches = box_dataset(source, batch_size=3, image_size=16, channels=1)
    with pytest.raises(ValueError, match=said[1]), readable_errors():
        list(batches)


def test_check_boxes__counts_objects(tmp_path):
    source = box_source(tmp_path, 8)
    rows = np.concatenate([random_objects(number)[1] for number in range(8)])
    expected = np.bincount(rows[:, 4].astype(int), minlength=3)
    np.testing.assert_array_equal(check_boxes(source), expected)
    change_annotations(tmp_path, lambda record: record.update(annotations=[]))
    with pytest.raises(ValueError, match=r"No image of .* has an object"):
        check_boxes(load_box_dataset(str(tmp_path)))
