"""Opening data sets with masks, and what is wrong with them."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tnt.data import check_masks, load_mask_dataset, mask_dataset
from keras_tnt.data.bundled import import_tfds
from keras_tnt.data.error_handling import find_fault, readable_errors
from keras_tnt.data.mask_decoding import mask_labels
from tests.helpers.masks import (
    CLASS_NAMES,
    mask_source,
    palette_png,
    png,
    random_classes,
    write_masks,
)

tfds = import_tfds()


def classes_of(source, index):
    _, mask = source.fetch(tf.constant(index, tf.int64))
    return source.to_classes(mask_labels(mask.numpy()))


@pytest.mark.parametrize(("masks", "first_label"), [("masks", 0), ("annotations", 1)])
def test_load_mask_dataset__directories(masks, first_label, tmp_path):
    """The layout of ADE20K has labels from 1 on, and 0 for none."""
    write_masks(tmp_path, {"training": 2, "val": 3}, masks, first_label)
    (tmp_path / "images" / "val" / "notes.txt").touch()
    source = load_mask_dataset(tmp_path, "validation")
    assert (len(source), source.class_names) == (3, CLASS_NAMES)
    path = source.describe(tf.constant(1, tf.int64)).numpy().decode()
    assert path == str(tmp_path / "images" / "val" / "001.png")
    np.testing.assert_array_equal(classes_of(source, 1), random_classes(1))
    np.testing.assert_array_equal(classes_of(source.in_memory(), 2), random_classes(2))
    without = np.array([[255, 0]], "uint8")
    expected = [[-1, -1]] if first_label else [[-1, 0]]
    np.testing.assert_array_equal(source.to_classes(without), expected)


def test_load_mask_dataset__class_names_of_ade20k(tmp_path):
    write_masks(tmp_path, {"": 1}, "annotations", 1)
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "objectInfo150.txt").write_text(
        "Idx\tRatio\tTrain\tVal\tName\n"
        "1\t0.1576\t11664\t1172\twall\n"
        "2\t0.1072\t6046\t612\tbuilding, edifice\n"
    )
    assert load_mask_dataset(tmp_path).class_names == ("wall", "building")


@pytest.mark.parametrize(
    ("change", "split", "error", "message"),
    [
        (lambda d: None, "test", ValueError, r"has the splits \['train'\]"),
        (lambda d: None, None, ValueError, r"has the splits \['train'\]"),
        (
            lambda d: (d / "masks" / "train" / "001.png").unlink(),
            "train",
            ValueError,
            r"1 of 2 files have no mask \(.png\) of the same name in .*001.png",
        ),
        (
            lambda d: (d / "images" / "train" / "001.png").unlink(),
            "train",
            ValueError,
            "1 of 2 files have no image of the same name",
        ),
        (
            lambda d: (d / "images" / "train" / "001.jpg").touch(),
            "train",
            ValueError,
            "have the same name without suffix",
        ),
        (
            lambda d: (d / "classes.txt").unlink(),
            "train",
            FileNotFoundError,
            "Write the names of the classes into it",
        ),
        (
            lambda d: (d / "classes.txt").write_text("sky\n\nroad"),
            "train",
            ValueError,
            "Expected a name in each line",
        ),
        (
            lambda d: (d / "masks").rename(d / "labels"),
            "train",
            FileNotFoundError,
            r"found \['classes.txt', 'images', 'labels'\]",
        ),
    ],
)
def test_load_mask_dataset__wrong_directories(change, split, error, message, tmp_path):
    write_masks(tmp_path, {"train": 2})
    change(tmp_path)
    with pytest.raises(error, match=message):
        load_mask_dataset(tmp_path, split)


def test_load_mask_dataset__no_directory_and_no_splits(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no directory"):
        load_mask_dataset(str(tmp_path / "nothing"))
    write_masks(tmp_path, {"": 1})
    with pytest.raises(ValueError, match="has no splits but images"):
        load_mask_dataset(tmp_path, "train")


def test_mask_labels__kinds_of_files():
    labels = np.arange(6).reshape(2, 3)
    for contents in (
        png(labels.astype("uint8")),
        palette_png(labels),
        png((labels + 300).astype("uint16")),
    ):
        found = mask_labels(contents)
        assert found.dtype == "int32"
        np.testing.assert_array_equal(found - found[0, 0], labels)
    np.testing.assert_array_equal(mask_labels(png(labels > 2)), labels > 2)


def write_faults(directory):
    """Replaces files of a directory by faulty ones; returns what is said of each."""
    image = np.zeros((24, 20, 3), "uint8")
    Image.fromarray(image).save(directory / "jpeg.jpg")
    faults = [
        ("images/000.png", b"", "cannot be read or decoded: it is empty"),
        ("masks/001.png", b"", "has an empty mask"),
        (
            "masks/002.png",
            png(image[:20, :, 0]),
            "mask of 20x20 pixels, expected 24x20",
        ),
        ("masks/003.png", png(image), "has a mask of mode RGB"),
        ("masks/004.png", png(image[..., 0] + 3), "has the label 3 in its mask"),
        ("masks/005.png", (directory / "jpeg.jpg").read_bytes(), "is no PNG file"),
        ("masks/006.png", png(image[..., 0])[:45], "mask that cannot be decoded"),
    ]
    for name, contents, _ in faults:
        (directory / name).write_bytes(contents)
    return [(name.split("/")[1], message) for name, _, message in faults]


def test_check_masks__names_faults_before_a_training(tmp_path, caplog):
    source = mask_source(tmp_path)
    expected = np.bincount(
        np.concatenate([random_classes(n).ravel() for n in range(8)]), minlength=3
    )
    np.testing.assert_array_equal(check_masks(source), expected)
    faults = write_faults(tmp_path)
    with pytest.raises(ValueError, match="images that cannot be used") as error:
        check_masks(source)
    for name, message in faults[:5]:
        assert f"{name} " in str(error.value)
        assert message in str(error.value)
    for number in (5, 6):
        assert faults[number][1] in find_fault(source, number)[0]
    for name in ("001", "002", "003", "004", "005", "006"):
        (tmp_path / "masks" / f"{name}.png").write_bytes(png(random_classes(7)))
    pixels = check_masks(source, skip_corrupt=True)
    assert list(source.corrupt) == [0]
    assert pixels.sum() == 7 * 24 * 20
    assert "it is empty" in caplog.text


def test_check_masks__no_class(tmp_path):
    source = mask_source(tmp_path, 1)
    (tmp_path / "masks" / "000.png").write_bytes(png(np.full((24, 20), 255, "uint8")))
    with pytest.raises(ValueError, match=r"No pixel of .* has a class"):
        check_masks(source)


@pytest.mark.parametrize("fault", [0, 2, 4])
def test_mask_dataset__names_faults(fault, tmp_path):
    """As `check_masks`, where a file changes later."""
    source = mask_source(tmp_path)
    (name, message) = write_faults(tmp_path)[fault]
    for path in (tmp_path / "masks").iterdir():
        if path.name != name:
            path.write_bytes(png(random_classes(0)))
    if fault:
        (tmp_path / "images" / "000.png").write_bytes(png(random_classes(0)))
    dataset = mask_dataset(source, batch_size=8, image_size=(24, 20))
    with pytest.raises(ValueError, match=message) as error, readable_errors():
        next(iter(dataset))
    assert f"{name} " in str(error.value)


# Registered, it would take the place of tfds' own one in other tests.
class OxfordIIITPet(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The features of tfds' data set, with images of our own."""

    VERSION = tfds.core.Version("1.0.0")
    __module__ = "pets"
    name = "oxford_iiit_pet"
    mask = tfds.features.Image(shape=(None, None, 1), use_colormap=False)

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(num_classes=37),
            "segmentation_mask": self.mask,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number in range(3):
            classes = random_classes(number)[..., None]
            yield (
                number,
                {
                    "image": np.repeat(classes * 60, 3, axis=-1),
                    "label": number,
                    "segmentation_mask": classes + np.uint8(1),
                },
            )


def test_load_mask_dataset__oxford_iiit_pet(tmp_path):
    builder = OxfordIIITPet(data_dir=str(tmp_path))
    builder.download_and_prepare()
    source = load_mask_dataset(builder.data_path, "train[1:]")
    assert source.class_names == ("pet", "background", "outline")
    np.testing.assert_array_equal(classes_of(source, 0), random_classes(1))
    images, masks = next(iter(mask_dataset(source, batch_size=2, image_size=(24, 20))))
    np.testing.assert_array_equal(images[..., 0], 60 * masks)
    described = source.describe(tf.constant(0, tf.int64)).numpy().decode()
    assert described == "record 0 of oxford_iiit_pet/1.0.0, split train[1:]"
    check_masks(source)


def test_load_mask_dataset__without_masks():
    with pytest.raises(ValueError, match="not a set of images with one mask each"):
        load_mask_dataset(str(import_bundled()), "train")


def import_bundled():
    from keras_tnt.data.bundled import bundled_builder

    return bundled_builder().data_path
