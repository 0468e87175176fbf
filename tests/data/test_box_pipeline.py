"""Batches of images with boxes: both are moved alike."""

import dataclasses

import numpy as np
import pytest

from keras_tnt.data import Augmentation, box_dataset
from tests.helpers.boxes import SHADE, box_source, random_objects

CROPS = Augmentation(crop_scale=(0.4, 1.0), flip=0.5)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return box_source(tmp_path_factory.mktemp("boxes"), 8, size=(48, 40))


def batches(source, **arguments):
    settings = {"batch_size": 4, "image_size": (64, 48), "channels": 1}
    return list(box_dataset(source, **(settings | arguments)).as_numpy_iterator())


def test_box_dataset__evaluation(source):
    (images, objects), (_, last) = batches(source)
    assert (images.shape, images.dtype) == ((4, 64, 48, 1), "float32")
    assert objects["boxes"].shape == (4, 100, 4)
    assert objects["labels"].dtype == "int32"
    for number in range(4):
        _, rows = random_objects(number, (48, 40))
        count = len(rows)
        scaled = rows[:, :4] * ([48 / 40, 64 / 48] * 2)
        np.testing.assert_allclose(objects["boxes"][number, :count], scaled, atol=1e-4)
        np.testing.assert_array_equal(objects["labels"][number, :count], rows[:, 4])
        assert (objects["labels"][number, count:] == -1).all()
        assert not objects["boxes"][number, count:].any()
    padded = batches(source, batch_size=5)[1][1]["labels"]
    assert (padded[3:] == -1).all()
    assert (padded[:3] != -1).any(axis=1).all()
    np.testing.assert_array_equal(padded[:3], last["labels"][1:])


def test_box_dataset__augmentation_moves_boxes_along(source):
    """The bright pixels of an augmented image lie in its boxes, and fill them."""
    found = 0
    for images, objects in batches(source, augmentation=CROPS, epochs=8):
        for image, boxes, labels in zip(images, *objects.values(), strict=True):
            for box, kind in zip(boxes[labels >= 0], labels[labels >= 0], strict=True):
                left, top, right, bottom = box
                assert 0 <= left < right <= 48
                assert 0 <= top < bottom <= 64
                inside = (
                    slice(int(np.ceil(top)) + 2, int(bottom) - 2),
                    slice(int(np.ceil(left)) + 2, int(right) - 2),
                )
                shades = image[(*inside, 0)]
                if shades.size:
                    assert np.abs(shades - SHADE * (kind + 1)).max() < SHADE / 4
                    found += 1
            outside = np.ones(image.shape[:2], bool)
            for left, top, right, bottom in boxes[labels >= 0]:
                rows = slice(max(int(top) - 2, 0), int(np.ceil(bottom)) + 2)
                columns = slice(max(int(left) - 2, 0), int(np.ceil(right)) + 2)
                outside[rows, columns] = False
            if (labels >= 0).sum() == 2:  # else a part of an object may be left
                assert image[outside].max(initial=0) < SHADE / 4
    assert found > 40


@pytest.mark.slow
def test_box_dataset__a_step_is_a_function_of_seed_and_number(source):
    whole = batches(source, augmentation=CROPS, epochs=3, seed=7)
    rest = batches(source, augmentation=CROPS, epochs=3, seed=7, first_step=4)
    other = batches(source, augmentation=CROPS, epochs=3, seed=8, first_step=4)
    for (images, objects), (expected, truth) in zip(rest, whole[4:], strict=True):
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(objects["boxes"], truth["boxes"])
    assert any(
        not np.array_equal(ours[0], theirs[0])
        for ours, theirs in zip(rest, other, strict=True)
    )


def test_box_dataset__workers_and_replicas_share_a_step(source):
    options = {"augmentation": CROPS, "epochs": 2}
    whole = batches(source, **options)
    parts = [batches(source, workers=2, worker=w, **options) for w in range(2)]
    for step, (images, objects) in enumerate(whole):
        found = [part[step] for part in parts]
        np.testing.assert_array_equal(np.concatenate([f[0] for f in found]), images)
        labels = np.concatenate([f[1]["labels"] for f in found])
        np.testing.assert_array_equal(labels, objects["labels"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 9, "augmentation": CROPS}, "more than the 8 images"),
        (
            {"augmentation": dataclasses.replace(CROPS, cutmix=1.0)},
            "cutmix=1.0 is not available for boxes",
        ),
        ({"image_size": 0}, "image_size"),
        ({"channels": 2}, "channels must be 1"),
    ],
)
def test_box_dataset__wrong_arguments(arguments, message, source):
    with pytest.raises(ValueError, match=message):
        batches(source, **arguments)
