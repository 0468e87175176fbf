import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file

from keras_tnt.images import (
    decode_image,
    decode_predictions,
    imagenet_classes,
    load_image,
    preprocess_input,
)
from tests.helpers import ASSETS
from tests.helpers.encoded import AS_PILLOW, PHOTO


@pytest.mark.parametrize("name", ["landscape", "portrait", "small"])
def test_preprocess_input__equal_to_published(name):
    expected = load_file(ASSETS / "preprocess_eval.safetensors")[name]
    image = preprocess_input(load_image(ASSETS / f"astronaut_{name}.png"))
    assert image.dtype == tf.float32
    difference = np.abs(image - (expected * 0.5 + 0.5) * 255)
    # The requirement is a mean of 0.25 and a maximum of 8.
    assert difference.mean() < 0.01
    assert difference.max() < 1.01


def resize_and_crop(image, new_width, new_height, size):
    """With Pillow; horizontally first, which newer versions do not always do."""
    bicubic = Image.Resampling.BICUBIC
    image = image.resize((new_width, image.height), bicubic)
    image = image.resize((new_width, new_height), bicubic)
    top = round((new_height - size[0]) / 2.0)
    left = round((new_width - size[1]) / 2.0)
    return np.asarray(image.crop((left, top, left + size[1], top + size[0])))


def noise(height, width):
    random = np.random.default_rng(height * 100 + width)
    return random.integers(0, 256, (height, width, 3), "uint8")


sides = st.integers(1, 90)
sizes = st.integers(1, 40)


@given(height=sides, width=sides, size=sizes)
@settings(max_examples=150, deadline=None)
def test_preprocess_input__geometry_of_torchvision(height, width, size):
    short, long = sorted([height, width])
    new_short = math.floor(size / 0.9)
    new_long = int(new_short * long / short)
    new = (new_short, new_long) if width <= height else (new_long, new_short)

    image = noise(height, width)
    expected = resize_and_crop(Image.fromarray(image), *new, (size, size))
    # One level off where float and fixed-point sums round apart, then once more.
    np.testing.assert_allclose(preprocess_input(image, size), expected, atol=2)


@given(height=sides, width=sides, size=st.tuples(sizes, sizes))
@settings(max_examples=150, deadline=None)
def test_preprocess_input__pair_covers_box(height, width, size):
    box_height, box_width = (math.floor(side / 0.9) for side in size)
    if box_height / height >= box_width / width:
        new = (box_height * width // height, box_height)
    else:
        new = (box_width, box_width * height // width)

    image = noise(height, width)
    expected = resize_and_crop(Image.fromarray(image), *new, size)
    np.testing.assert_allclose(preprocess_input(image, size), expected, atol=2)


def test_preprocess_input__square_pair():
    image = np.asarray(PHOTO)
    np.testing.assert_array_equal(
        preprocess_input(image, (30, 30)), preprocess_input(image, 30)
    )


@pytest.mark.parametrize("shape", [(1, 20000, 3), (20000, 1, 3)])
def test_preprocess_input__very_long_image(shape):
    assert np.all(preprocess_input(np.full(shape, 77, "uint8")) == 77)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_preprocess_input__batch_equals_single(channels):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, 40, 30, channels), "uint8")
    batch = preprocess_input(images, 16)
    assert batch.shape == (3, 16, 16, channels)
    np.testing.assert_array_equal(batch, preprocess_input(list(images), 16))
    for image, expected in zip(images, batch, strict=True):
        np.testing.assert_array_equal(preprocess_input(image, 16), expected)


def test_preprocess_input__mixed_list():
    image = np.asarray(PHOTO)
    batch = preprocess_input([image, tf.cast(image[:20], tf.float64)], 16)
    assert batch.shape == (2, 16, 16, 3)
    np.testing.assert_array_equal(batch[0], preprocess_input(image, 16))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint16"])
def test_preprocess_input__dtypes(dtype):
    image = np.asarray(PHOTO)
    np.testing.assert_array_equal(
        preprocess_input(image.astype(dtype), 32), preprocess_input(image, 32)
    )


def test_preprocess_input__empty_batch():
    assert preprocess_input(np.zeros((0, 9, 9, 3), "uint8"), 4).shape == (0, 4, 4, 3)


def test_preprocess_input__range():
    edges = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((9, 9)))[..., None] * 255
    image = preprocess_input(edges, 100).numpy()  # bicubic overshoots at the edges
    assert image.min() == 0
    assert image.max() == 255
    np.testing.assert_array_equal(image, np.round(image))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((8, 8)), r"\(8, 8\).*channel axis"),
        (np.zeros((1, 1, 8, 8, 3)), "Expected an image"),
        (np.zeros((0, 8, 3)), "none of them empty"),
        ([], "one or more images"),
        ([np.zeros((8, 8))], "channel axis"),
        ([np.zeros((1, 8, 8, 3))], "Expected an image"),
        ([np.zeros((8, 8, 1)), np.zeros((8, 8, 3))], "same number of channels"),
        ("cat.png", "load_image"),
        (b"\xff\xd8\xff", "decode_image"),
        (np.zeros((8, 8, 3), bool), "must be numbers.*bool"),
        (np.full((8, 8, 3), np.nan), "from 0 to 255"),
        (np.full((8, 8, 3), np.inf), "from 0 to 255"),
        (np.full((8, 8, 3), -0.5), "from 0 to 255.*-0.5"),
        (np.full((8, 8, 3), 65535, "uint16"), "from 0 to 255.*65535"),
    ],
)
def test_preprocess_input__not_an_image(images, message):
    with pytest.raises(ValueError, match=message):
        preprocess_input(images)


@pytest.mark.parametrize("size", [0, -1, 2.5, "224", None, (224,), (1, 2, 3), (3, 0)])
def test_preprocess_input__invalid_size(size):
    with pytest.raises(ValueError, match="`size` must be a whole number"):
        preprocess_input(np.zeros((8, 8, 3)), size)


def test_preprocess_input__tf_data(tmp_path):
    for index, kind in enumerate(["jpeg", "bmp palette", "png alpha", "webp alpha"]):
        (tmp_path / f"{index}").write_bytes(AS_PILLOW[kind])
    dataset = tf.data.Dataset.list_files(str(tmp_path / "*"), shuffle=False)
    dataset = dataset.map(
        lambda path: preprocess_input(decode_image(tf.io.read_file(path)), (32, 48))
    ).batch(4)
    assert dataset.element_spec.shape == (None, 32, 48, 3)
    (batch,) = dataset
    expected = [load_image(tmp_path / f"{index}") for index in range(4)]
    np.testing.assert_array_equal(batch, preprocess_input(expected, (32, 48)))


def test_preprocess_input__exported_signature(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(images):
        return tf.map_fn(
            lambda contents: preprocess_input(decode_image(contents), 32),
            images,
            fn_output_signature=tf.TensorSpec((32, 32, 3), tf.float32),
        )

    module = tf.Module()
    module.serve = serve
    tf.saved_model.save(module, tmp_path)
    images = [AS_PILLOW["gif"], AS_PILLOW["jpeg cmyk"], AS_PILLOW["bmp 1 bit"]]
    served = tf.saved_model.load(tmp_path).serve(tf.constant(images))
    expected = preprocess_input([decode_image(image) for image in images], 32)
    np.testing.assert_array_equal(served, expected)


def test_imagenet_classes__1000_different():
    ids, names = zip(*imagenet_classes(), strict=True)
    assert len(ids) == len(set(ids)) == len(set(names)) == 1000
    assert list(ids) == sorted(ids)  # ImageNet-1k's indices follow the ids
    assert all(name and " " not in name and "," not in name for name in names)


@pytest.mark.parametrize(
    ("index", "wordnet_id", "name"),
    [
        (0, "n01440764", "tench"),
        (2, "n01484850", "great_white_shark"),
        (134, "n02012849", "crane_bird"),
        (207, "n02099601", "golden_retriever"),
        (281, "n02123045", "tabby"),
        (283, "n02123394", "Persian_cat"),
        (517, "n03126707", "crane_machine"),
        (607, "n03590841", "jack-o'-lantern"),
        (638, "n03710637", "maillot"),
        (639, "n03710721", "tank_suit"),
        (999, "n15075141", "toilet_tissue"),
    ],
)
def test_imagenet_classes__index(index, wordnet_id, name):
    assert imagenet_classes()[index] == (wordnet_id, name)


def test_imagenet_classes__order_of_tfds():
    package = importlib.util.find_spec("tensorflow_datasets")
    if package is None:
        pytest.skip("tensorflow_datasets is not installed")
    labels = Path(package.origin).parent / "datasets" / "imagenet2012" / "labels.txt"
    ids = [wordnet_id for wordnet_id, _ in imagenet_classes()]
    assert ids == labels.read_text().split()


@pytest.mark.parametrize("convert", [np.asarray, tf.constant])
def test_decode_predictions__top(convert):
    probabilities = np.zeros((2, 1000), "float32")
    probabilities[0, [207, 281]] = 0.25, 0.75
    probabilities[1, 0] = 1
    first, second = decode_predictions(convert(probabilities), top=2)
    assert first == [
        ("n02123045", "tabby", 0.75),
        ("n02099601", "golden_retriever", 0.25),
    ]
    # Equal scores come in the order of the classes.
    assert second == [("n01440764", "tench", 1.0), ("n01443537", "goldfish", 0.0)]
    assert type(first[0][2]) is float


def test_decode_predictions__default_top():
    predictions = decode_predictions(np.random.default_rng(0).random((3, 1000)))
    assert [len(best) for best in predictions] == [5, 5, 5]
    assert all(best == sorted(best, key=lambda row: -row[2]) for best in predictions)
    assert decode_predictions(np.zeros((0, 1000))) == []


@pytest.mark.parametrize("shape", [(1000,), (2, 10), (1, 1, 1000)])
def test_decode_predictions__invalid_shape(shape):
    with pytest.raises(ValueError, match=r"\(batch, 1000\).*other classes"):
        decode_predictions(np.zeros(shape))


@pytest.mark.parametrize("top", [0, -1, 1001])
def test_decode_predictions__invalid_top(top):
    with pytest.raises(ValueError, match="`top` must be from 1 to 1000"):
        decode_predictions(np.zeros((1, 1000)), top=top)


FRACTIONS = np.linspace(0, 1, 192, dtype="float32").reshape(8, 8, 3)


@pytest.mark.parametrize("convert", [np.asarray, tf.constant, lambda x: [x], np.half])
def test_preprocess_input__refuses_images_scaled_to_0_1(convert):
    with pytest.raises(ValueError, match=r"scaled to 0-1: .* 0 to 1\..*scale=255"):
        preprocess_input(convert(FRACTIONS), 8)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((8, 8, 3), "float32"),
        np.ones((8, 8, 3), "uint8"),
        np.round(FRACTIONS),
        FRACTIONS * 1.5,
    ],
    ids=["black", "integers", "zeros and ones", "above 1"],
)
def test_preprocess_input__takes_dark_images(images):
    expected = np.floor(images + 0.5)
    np.testing.assert_array_equal(preprocess_input(images, 8, 1.0), expected)


def test_preprocess_input__scale_decides():
    expected = preprocess_input(FRACTIONS * 255, 8, 1.0)
    assert np.ptp(expected) == 255
    for images in (FRACTIONS, tf.constant(FRACTIONS), FRACTIONS.astype("float64")):
        found = preprocess_input(images, 8, 1.0, scale=255)
        np.testing.assert_array_equal(found, expected)
    in_list = preprocess_input([FRACTIONS, FRACTIONS], 8, 1.0, scale=255)
    np.testing.assert_array_equal(in_list, [expected, expected])
    as_it_is = preprocess_input(FRACTIONS, 8, 1.0, scale=1)
    np.testing.assert_array_equal(as_it_is, np.floor(FRACTIONS + 0.5))
    with pytest.raises(ValueError, match="0 to 510 after scaling by 255"):
        preprocess_input(FRACTIONS * 2, 8, scale=255)
    for scale in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="`scale` must be positive"):
            preprocess_input(FRACTIONS, 8, scale=scale)


def test_preprocess_input__scales_in_a_graph():
    scaled = tf.data.Dataset.from_tensors(FRACTIONS)
    (found,) = scaled.map(lambda image: preprocess_input(image, 8, 1.0, scale=255))
    np.testing.assert_array_equal(found, preprocess_input(FRACTIONS * 255, 8, 1.0))
    (found,) = scaled.map(lambda image: preprocess_input(image, 8, 1.0))  # not known
    assert np.max(found) == 1


def test_preprocess_input__unknown_rank_needs_a_shape():
    @tf.function(input_signature=[tf.TensorSpec(None)])
    def preprocess(images):
        return preprocess_input(images, 8)

    with pytest.raises(ValueError, match=r"unknown number of axes.*set_shape\(\(None,"):
        preprocess(FRACTIONS)

    @tf.function(input_signature=[tf.TensorSpec(None)])
    def preprocess_with_shape(images):
        images.set_shape((None, None, 3))
        return preprocess_input(images, 8)

    assert preprocess_with_shape(FRACTIONS * 255).shape == (8, 8, 3)
