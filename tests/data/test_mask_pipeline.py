"""Batches of images and masks."""

import dataclasses

import numpy as np
import pytest

from keras_tnt.data import FINETUNE_AUGMENTATION, Augmentation, mask_dataset
from keras_tnt.data.mask_pipeline import encoded_mask_dataset
from tests.helpers.masks import SHADE, mask_source, png, random_classes

# Crops of a quarter of the area and of the output's shape: resizing changes nothing.
SIZE = (24, 20)
MOVING = Augmentation(crop_scale=(0.25, 0.25), crop_ratio=(20 / 24, 20 / 24), flip=0.5)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return mask_source(tmp_path_factory.mktemp("masks"), size=(48, 40))


def batches(source, **arguments):
    defaults = {"batch_size": 4, "image_size": SIZE, "augmentation": MOVING}
    dataset = mask_dataset(source, **(defaults | arguments))
    found = [tuple(map(np.array, batch)) for batch in dataset]
    assert len(found) == len(dataset)
    return found


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for batch, wanted in zip(found, expected, strict=True):
        for value, other in zip(batch, wanted, strict=True):
            np.testing.assert_array_equal(value, other)


def test_mask_dataset__masks_move_along(source):
    found = batches(source, epochs=3)
    places = set()
    for images, masks in found:
        assert (images.dtype, masks.dtype) == ("float32", "int32")
        assert (images.shape, masks.shape) == ((4, *SIZE, 3), (4, *SIZE))
        np.testing.assert_array_equal(images[..., 1], SHADE * masks)
        places |= {mask.tobytes() for mask in masks}
    assert len(places) == 24
    mirrored = [
        random_classes(number, (48, 40))[top : top + 24, left : left + 20][:, ::-1]
        for number in range(8)
        for top in range(25)
        for left in range(21)
    ]
    among = {mask.astype("int32").tobytes() for mask in mirrored} & places
    assert 3 < len(among) < 21


@pytest.mark.slow
def test_mask_dataset__resumes_and_divides(source):
    whole = batches(source, epochs=2, seed=3)
    assert_equal(batches(source, epochs=2, seed=3, first_step=1), whole[1:])
    parts = [
        batches(source, epochs=2, seed=3, worker=worker, workers=2) for worker in (0, 1)
    ]
    joined = [
        tuple(np.concatenate(pair) for pair in zip(*part, strict=True))
        for part in zip(*parts, strict=True)
    ]
    assert_equal(joined, whole)
    other = batches(source, epochs=2, seed=4)
    assert any((a[1] != b[1]).any() for a, b in zip(whole, other, strict=True))


def test_mask_dataset__resizes_to_nearest(source):
    (images, masks), _ = batches(source, augmentation=Augmentation())
    assert set(np.unique(masks)) <= {0, 1, 2}
    inside = masks[:, 1::2, 1::2] == masks[:, ::2, ::2]
    assert inside.all()  # blocks of four pixels become blocks of two
    assert np.abs(images[..., 0] - SHADE * masks).mean() < 12


def test_mask_dataset__evaluation(source):
    found = batches(source, augmentation=None, batch_size=3, image_size=(48, 40))
    masks = np.concatenate([batch[1] for batch in found])
    for number in range(8):
        np.testing.assert_array_equal(masks[number], random_classes(number, (48, 40)))
    assert (masks[8] == -1).all()
    images = np.concatenate([batch[0] for batch in found])
    np.testing.assert_array_equal(images[:8, ..., 2], SHADE * masks[:8])
    shape = (24, 20, 1)
    *_, (images, encoded, weights) = encoded_mask_dataset(source, shape, 3)
    assert images.shape == (3, *shape)
    assert encoded[1].numpy() == png(random_classes(7, (48, 40)))
    np.testing.assert_array_equal(weights, [1, 1, 0])


def test_mask_dataset__colors_change_alone(source):
    jitter = Augmentation(color_jitter=0.3)
    (plain, masks), _ = batches(source, augmentation=Augmentation())
    (changed, same), _ = batches(source, augmentation=jitter)
    np.testing.assert_array_equal(masks, same)
    assert np.abs(plain - changed).mean() > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"augmentation": FINETUNE_AUGMENTATION}, "rand_augment=2 is not available"),
        (
            {"augmentation": dataclasses.replace(MOVING, mixup=0.8)},
            "mixup=0.8 is not available for masks",
        ),
        ({"batch_size": 9}, "batch_size=9 is more than the 8 images"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"channels": 2}, r"channels must be 1 \(gray\) or 3"),
    ],
)
def test_mask_dataset__wrong_arguments(arguments, message, source):
    with pytest.raises(ValueError, match=message):
        batches(source, **arguments)
