"""Segmenters of both families and heads."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt.tasks import segmenter
from keras_tnt.training import MaskCrossentropy
from tests.helpers.graphs import traced
from tests.helpers.small import build_pyramid_tnt, build_tnt, pixels, randomised

each_head = pytest.mark.parametrize("head", ["upernet", "trans2seg"])


def small_segmenter(head="upernet", backbone=None, **arguments):
    backbone = backbone or build_tnt(depth=2)
    return segmenter(backbone, 5, head, dim=32, **arguments)


@pytest.mark.slow
@each_head
def test_segmenter__any_size_files_and_exports(head, tmp_path):
    model = randomised(small_segmenter(head))
    images = pixels(model, batch=2)
    expected = model(images)
    assert (expected.shape, expected.dtype) == ((2, 32, 48, 5), tf.float32)
    assert np.std(expected, axis=(0, 1, 2)).min() > 0
    model.save_weights(tmp_path / "model.weights.h5")
    sizes = {"input_shape": (None, None, 3), "native_image_size": (32, 48)}
    any_size = small_segmenter(head, build_tnt(depth=2, **sizes))
    any_size.load_weights(tmp_path / "model.weights.h5")
    any_size.save(tmp_path / "model.keras")
    any_size.export(tmp_path / "saved_model", verbose=False)
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded = tf.saved_model.load(tmp_path / "saved_model")
    for run in (any_size, reloaded, loaded.serve):
        found = run(images.astype("float32"))
        np.testing.assert_allclose(found, expected, atol=1e-4)
    other = np.random.default_rng(0).uniform(0, 255, (1, 41, 70, 3)).astype("float32")
    found = loaded.serve(other)
    assert found.shape == (1, 41, 70, 5)
    np.testing.assert_allclose(found, reloaded(other), atol=1e-4)


@pytest.mark.slow
@each_head
def test_segmenter__trains_every_weight(head):
    """The head's and, but for what follows the last block, the backbone's."""
    model = randomised(small_segmenter(head, dtype="mixed_bfloat16"))
    images = pixels(model, batch=2)
    masks = np.random.default_rng(0).integers(-1, 5, (2, 32, 48))
    before = [np.array(weight) for weight in model.trainable_weights]
    model.compile(keras.optimizers.SGD(0.01), MaskCrossentropy())
    losses = [model.train_on_batch(images, masks) for _ in range(3)]
    assert losses[-1] < losses[0]
    for weight, old in zip(model.trainable_weights, before, strict=True):
        if not weight.path.endswith("key/bias"):  # the softmax removes it
            assert np.abs(weight - old).max() > 0, weight.path


@each_head
def test_segmenter__pyramid_tnt(head):
    model = small_segmenter(head, build_pyramid_tnt())
    assert model(pixels(model, batch=1)).shape == (1, 64, 96, 5)


def test_segmenter__policies():
    half = build_tnt(depth=1, dtype="mixed_float16")
    model = small_segmenter(backbone=half)
    assert model.get_layer("fusion").compute_dtype == "float16"
    assert model.dtype_policy.name == "mixed_float16"  # which scales the loss
    assert model.output.dtype == "float32"
    model = small_segmenter(backbone=half, dtype="float32")
    assert model.get_layer("fusion").compute_dtype == "float32"


@pytest.mark.slow
def test_segmenter__backbone_inside_a_model():
    tnt = build_tnt(depth=1, include_top=False)
    images = keras.Input((64, 96, 3))
    outer = keras.Model(images, tnt(keras.layers.Resizing(32, 48)(images)))
    model = small_segmenter(backbone=outer)
    assert model.output_shape == (None, 64, 96, 5)
    values = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    graph = traced(model, (None, 64, 96, 3))
    np.testing.assert_allclose(graph(values), model(values), atol=1e-4)


def test_segmenter__blocks():
    tnt = build_tnt(depth=4, inner_blocks=(2,))
    names = {layer.name for layer in small_segmenter(backbone=tnt).layers}
    assert {"block_1_norm", "block_4_norm"} <= names
    assert "pixel_map" not in names  # block 1 has no pixels
    names = {layer.name for layer in small_segmenter(backbone=tnt, blocks=2).layers}
    assert {"block_3_norm", "block_4_norm", "pixel_map"} <= names
    assert "block_2_norm" not in names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"head": "fcn"}, "head must be one of upernet, trans2seg, got 'fcn'"),
        ({"classes": 0}, "classes must be at least 1"),
        ({"head": "trans2seg", "dim": 48}, "dim must be a multiple of 32, got 48"),
        ({"blocks": (3,)}, "blocks to be numbers of 'tnt'"),
        ({"backbone": keras.Sequential([keras.Input((8,))])}, "has no layer of either"),
    ],
)
def test_segmenter__wrong_arguments(arguments, message):
    arguments = {"backbone": build_tnt(depth=1), "classes": 5} | arguments
    with pytest.raises(ValueError, match=message):
        segmenter(**arguments)


def test_segmenter__blocks_of_a_pyramid():
    with pytest.raises(ValueError, match="four stages are all used"):
        segmenter(build_pyramid_tnt(), 5, blocks=(1, 2))


def test_segmenter__published_size():
    """Blocks 3, 6, 9 and 12 and the pixels, at strides 4, 8, 16 and 32."""
    tnt = keras_tnt.TNTTiny(input_shape=(64, 96, 3), include_top=False)
    model = segmenter(tnt, 150)
    shapes = {
        name: model.get_layer(name).output.shape[1:]
        for name in ("level_1", "output_2", "block_9_norm", "level_4")
    }
    assert shapes == {
        "level_1": (16, 24, 256 + 12),
        "output_2": (8, 12, 256),
        "block_9_norm": (4, 6, 192),
        "level_4": (2, 3, 192),
    }
