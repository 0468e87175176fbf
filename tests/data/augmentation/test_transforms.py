"""From an encoded image to an image: crops, resizing, mirroring, erasing, gray."""

import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import keras_tnt
from keras_tnt.data import FLIP_AUGMENTATION, IMAGENET_AUGMENTATION, Augmentation
from keras_tnt.data.augmentation.transforms import (
    SEEDS,
    Seeds,
    crop_box,
    decode_and_crop,
    evaluation_image,
    random_erasing,
    training_image,
)
from keras_tnt.images import decode_image
from tests.helpers.datasets import encoded, photo
from tests.helpers.encoded import AS_PILLOW
from tests.images.test_limits import BOMBS, scans

CROP = Augmentation(crop_scale=(0.08, 1.0))


def seeds(number):
    """The seeds of an image, others for each number."""
    return tf.random.stateless_uniform((SEEDS, 2), (number, 1), None, None, tf.int32)


def train(contents, augmentation, shape=(24, 20, 3), number=200, crop_fraction=0.9):
    """What many seeds make of one image."""
    one = tf.function(
        lambda seeds: training_image(
            contents, seeds, augmentation, shape, crop_fraction
        ),
        autograph=False,
    )
    return np.stack([one(seeds(index)) for index in range(number)])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_crop__jpeg_equals_decoded(data):
    height, width = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    contents = encoded(
        photo(height, width),
        "JPEG",
        quality=data.draw(st.sampled_from([50, 90])),
        subsampling=data.draw(st.sampled_from([0, 1, 2])),
        progressive=data.draw(st.booleans()),
    )
    top = data.draw(st.integers(0, height - 1))
    left = data.draw(st.integers(0, width - 1))
    rows = data.draw(st.integers(1, height - top))
    columns = data.draw(st.integers(1, width - left))
    box = tf.unstack(tf.constant([top, left, rows, columns]))
    found = decode_and_crop(tf.constant(contents), lambda *shape: box)
    whole = decode_image(contents).numpy()
    np.testing.assert_array_equal(found, whole[top : top + rows, left : left + columns])


@pytest.mark.parametrize(
    "kind", ["PNG", "GIF", "BMP", "WEBP", "gray JPEG", "CMYK JPEG"]
)
def test_random_crop__other_formats(kind):
    contents = encoded(photo(40, 50), kind)
    box = tf.unstack(tf.constant([5, 7, 20, 30]))
    found = decode_and_crop(tf.constant(contents), lambda *shape: box)
    np.testing.assert_array_equal(found, decode_image(contents)[5:25, 7:37])


def test_random_crop__resize_equals_pillow():
    image = photo(60, 50)
    contents = encoded(image, "PNG")
    # Pillow cuts bicubic's overshoots off between its two passes, too.
    for method, pillow, most in (
        ("bilinear", Image.BILINEAR, 1),
        ("bicubic", Image.BICUBIC, 8),
    ):
        augmentation = Augmentation(
            crop_scale=(1.0, 1.0), crop_ratio=(5 / 6, 5 / 6), interpolation=method
        )
        found = train(contents, augmentation, number=1)[0]
        expected = Image.fromarray(image).resize((20, 24), pillow)
        difference = np.abs(found - np.asarray(expected, "float32"))
        assert difference.max() <= most
        assert difference.mean() < 0.3


def test_random_crop__random_interpolation():
    contents = encoded(photo(60, 50), "PNG")
    whole = Augmentation(crop_scale=(1.0, 1.0), crop_ratio=(5 / 6, 5 / 6))
    found = train(
        contents, dataclasses.replace(whole, interpolation="random"), number=60
    )
    bicubic = (found == train(contents, whole, number=1)).all(axis=(1, 2, 3)).mean()
    assert 0.25 < bicubic < 0.75
    assert len({image.tobytes() for image in found}) == 2


def boxes(height, width, augmentation, number=400):
    one = tf.function(
        lambda seeds: tf.stack(
            crop_box(height, width, Seeds(*tf.unstack(seeds)), augmentation)
        )
    )
    return np.stack([one(seeds(index)) for index in range(number)]).T


def test_random_crop__area_and_aspect_ratio():
    top, left, rows, columns = boxes(300, 400, CROP)
    assert min(top.min(), left.min()) == 0
    assert (top + rows <= 300).all()
    assert (left + columns <= 400).all()
    share = rows * columns / (300 * 400)
    assert 0.079 < share.min() < 0.1
    assert 0.85 < share.max() <= 1
    assert 0.4 < share.mean() < 0.57
    ratio = columns / rows
    assert 0.74 < ratio.min() < 0.77
    assert 1.30 < ratio.max() < 1.35
    assert abs(np.log(ratio).mean()) < 0.05
    # The free room is used evenly.
    assert abs(np.mean(top / np.maximum(300 - rows, 1)) - 0.5) < 0.07


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [(10, 400, (0, 193, 10, 13)), (400, 10, (193, 0, 13, 10)), (1, 1, (0, 0, 1, 1))],
)
def test_random_crop__fallback_to_center(height, width, box):
    augmentation = Augmentation(crop_scale=(0.9, 1.0))
    found = boxes(height, width, augmentation, 5).T
    np.testing.assert_array_equal(found, [box] * 5)


def test_flip__half_mirrored():
    contents = encoded(photo(24, 20), "PNG")
    found = train(contents, FLIP_AUGMENTATION, crop_fraction=1.0)
    image = photo(24, 20).astype("float32")
    same = (found == image).all(axis=(1, 2, 3))
    mirrored = (found == image[:, ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all()
    assert 0.38 < mirrored.mean() < 0.62


def test_random_erasing__noise():
    every = tf.stack([seeds(number) for number in range(400)])
    found = random_erasing(tf.fill((400, 32, 32, 3), 77.0), every, 0.25).numpy()
    assert found.min() == 0  # noise stays within the range of images
    assert found.max() == 255
    erased = (found != 77).any(axis=-1)
    happened = erased.any(axis=(1, 2))
    assert 0.19 < happened.mean() < 0.31
    shares, ratios = [], []
    for mask in erased[happened]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        shares.append(mask.mean())
        ratios.append(len(rows) / len(columns))
    assert 0.015 < min(shares) < 0.06
    assert 0.25 < max(shares) < 0.36
    assert 0.25 < min(ratios) < 0.5
    assert 2 < max(ratios) < 4
    noise = found[erased]
    assert abs(noise.mean() - 127.5) < 3
    assert abs(np.corrcoef(noise[:, 0], noise[:, 1])[0, 1]) < 0.05  # each by itself


@pytest.mark.parametrize("crop_fraction", [0.9, 1.0])
def test_evaluation_transform__equal_to_published(crop_fraction):
    for size in ((24, 20), (60, 50), (31, 80)):
        image = photo(*size)
        found = evaluation_image(encoded(image, "PNG"), (24, 20, 3), crop_fraction)
        expected = keras_tnt.preprocess_input(image, (24, 20), crop_fraction)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "kind",
    ["PNG", "gray JPEG"]
    + [
        pytest.param(kind, marks=pytest.mark.slow)
        for kind in ("JPEG", "gray PNG", "16-bit PNG")
    ],
)
def test_transforms__gray_and_color(kind):
    """Gray is Pillow's; gray images in color have three equal channels."""
    contents = encoded(photo(24, 20), kind)
    picture = Image.open(io.BytesIO(contents))
    if kind == "16-bit PNG":  # of which the high bytes are taken
        picture = Image.fromarray(photo(24, 20))
    expected = np.asarray(picture.convert("RGB").convert("L"), "float32")
    shape = (24, 20, 1)
    gray = evaluation_image(contents, shape, 1.0)
    assert gray.shape == shape
    np.testing.assert_array_equal(gray[..., 0], expected)
    color = evaluation_image(contents, (24, 20, 3), 1.0)
    assert color.shape == (24, 20, 3)
    if kind not in ("PNG", "JPEG"):
        np.testing.assert_array_equal(color, np.repeat(gray, 3, axis=-1))
    for augmentation in (IMAGENET_AUGMENTATION, FLIP_AUGMENTATION):
        found = train(contents, augmentation, shape, 10)
        assert found.shape == (10, *shape)
        assert 0 <= found.min() <= found.max() <= 255
        assert len({image.tobytes() for image in found}) > 1


def test_transforms__seeds():
    contents = encoded(photo(60, 50), "JPEG")
    first, second = (train(contents, IMAGENET_AUGMENTATION, number=20) for _ in "ab")
    np.testing.assert_array_equal(first, second)
    assert len({image.tobytes() for image in first}) == 20


def test_transforms__no_augmentation():
    contents = encoded(photo(60, 50), "JPEG")
    found = train(contents, Augmentation(), number=2)
    expected = evaluation_image(contents, (24, 20, 3), 0.9)
    np.testing.assert_array_equal(found, [expected] * 2)


@pytest.mark.parametrize("kind", ["jpeg", "scans"])
def test_decode_and_crop__has_the_limits_of_decoding(kind):
    """A crop of a JPEG is not decoded as a whole, but may cost as much."""
    contents = {"jpeg": BOMBS["jpeg"], "scans": scans(101)}[kind]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Expected 1 to|at most"):
        decode_and_crop(contents, lambda height, width: (0, 0, 8, 8))


def test_evaluation_image__decodes_by_one_function_for_all_data_sets():
    contents = tf.TensorSpec((), tf.string)
    called = []
    for shape in ((9, 8, 3), (5, 5, 1)):
        traced = tf.function(evaluation_image, autograph=False)
        graph = traced.get_concrete_function(contents, shape, 1.0).graph
        calls = [op for op in graph.get_operations() if "PartitionedCall" in op.type]
        called.append({op.get_attr("f").name for op in calls})
    assert any("decode_image" in name for name in called[0])
    assert called[0] == called[1]


def test_decode_and_crop__ignores_data_behind_a_jpeg():
    contents = AS_PILLOW["jpeg"]
    box = (3, 4, 8, 9)
    found = decode_and_crop(contents + b"\xff\xda" * 200, lambda *size: box)
    np.testing.assert_array_equal(found, decode_image(contents)[3:11, 4:13])
