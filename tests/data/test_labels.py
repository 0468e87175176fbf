"""Which feature of a data set is the label; what is refused, and with which words."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_tnt.data.bundled import import_tfds
from keras_tnt.data.labels import labels_of, supervised_keys
from keras_tnt.images.imagenet_subsets import imagenet_subset

tfds = import_tfds()
IMAGE = tfds.features.Image(shape=(None, None, 3))
CLASS = tfds.features.ClassLabel(names=["ant", "bee", "cat"])
SEVERAL = tfds.features.Sequence(CLASS)


def info(keys, name="insects", **features):
    return SimpleNamespace(
        name=name, full_name=f"{name}/1.0.0", supervised_keys=keys, features=features
    )


def test_supervised_keys__found():
    declared = info(("image", "b"), a=CLASS, image=IMAGE, b=CLASS, mask=IMAGE)
    assert supervised_keys(declared) == ("image", "b")
    assert supervised_keys(info(None, a=CLASS, text=CLASS.shape, i=IMAGE)) == ("i", "a")
    real = info(("image", "real_label"), image=IMAGE, real_label=SEVERAL)
    assert supervised_keys(real) == ("image", "real_label")
    real = info(None, image=IMAGE, original_label=CLASS, real_label=SEVERAL)
    assert supervised_keys(real) == ("image", "real_label")


@pytest.mark.parametrize(
    ("keys", "features"),
    [
        # A single class is there too, but it is not the label.
        (("image", "labels"), {"image": IMAGE, "labels": SEVERAL, "origin": CLASS}),
        (("image", "mask"), {"image": IMAGE, "mask": IMAGE, "kind": CLASS}),
        (("image", "boxes"), {"image": IMAGE, "boxes": tfds.features.Tensor(
            shape=(None, 4), dtype=np.float32), "kind": CLASS}),
        (("image", "kind", "weight"), {"image": IMAGE, "kind": CLASS, "weight": CLASS}),
        (({"image": "image"}, "kind"), {"image": IMAGE, "kind": CLASS}),
        (("text", "kind"), {"text": tfds.features.Text(), "kind": CLASS}),
        # Nothing says which one is meant.
        (None, {"image": IMAGE, "kind": CLASS, "bird": CLASS}),
        (None, {"image": IMAGE, "labels": SEVERAL, "origin": CLASS}),
        (None, {"left": IMAGE, "right": IMAGE, "kind": CLASS}),
        (None, {"image": IMAGE, "real_label": SEVERAL, "other": SEVERAL}),
        (None, {"image": IMAGE, "real_label": SEVERAL, "mask": IMAGE}),
    ],
)  # fmt: skip
def test_supervised_keys__refused_with_what_was_found(keys, features):
    with pytest.raises(ValueError, match="not a set of images with one class") as error:
        supervised_keys(info(keys, **features))
    assert f"supervised keys are {keys}, its features {features}" in str(error.value)


def test_labels_of__several():
    labels = labels_of(info(None, real_label=SEVERAL), "real_label")
    assert labels.several
    assert labels.class_names == ("ant", "bee", "cat")
    for found, expected in (([2, 0], [1, 0, 1]), ([1, 1], [0, 1, 0]), ([], [0] * 3)):
        hot = labels.convert(np.array(found, "int64"))
        assert hot.numpy().tolist() == expected


@pytest.mark.parametrize("name", ["imagenet_a", "imagenet_r"])
def test_labels_of__subset_of_imagenet(name):
    names = sorted(imagenet_subset(name))
    assert len(names) == 200
    feature = tfds.features.ClassLabel(names=["n00000000", *names[:3], "n99999999"])
    labels = labels_of(info(None, name, label=feature), "label")
    assert labels.class_names == tuple(names[:3])
    found = [int(labels.convert(np.int64(label))) for label in range(-1, 5)]
    assert found == [-1, -1, 0, 1, 2, -1]
    with pytest.raises(ValueError, match=f"{name}/1.0.0 has none of its classes"):
        labels_of(info(None, name, label=CLASS), "label")


def test_imagenet_subset__published():
    """The first and the last of each, how many both have, and that others have all."""
    a, r = sorted(imagenet_subset("imagenet_a")), sorted(imagenet_subset("imagenet_r"))
    assert (a[0], a[-1], r[0], r[-1]) == (
        "n01498041", "n12267677", "n01443537", "n12267677"
    )  # fmt: skip
    assert len(set(a) & set(r)) == 86
    assert imagenet_subset("imagenet_v2") is None
