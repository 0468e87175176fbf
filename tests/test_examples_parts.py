"""The parts of the examples of dense tasks and retrieval."""

import importlib

import keras
import numpy as np
import pytest

import keras_tnt
from keras_tnt.data import load_mask_dataset, mask_dataset
from keras_tnt.training.builders import build_model
from tests.helpers import ROOT
from tests.helpers.figures import image_of, saved_figures
from tests.helpers.small import small

EXAMPLES = ROOT / "examples"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


@pytest.fixture
def scenes(example):
    return example("scenes").make_scenes("test", 12)


def test_scenes__seeded(example, scenes):
    make_scenes = example("scenes").make_scenes
    for found, again in zip(scenes, make_scenes("test", 12), strict=True):
        np.testing.assert_array_equal(found, again)
    assert (scenes.images != make_scenes("test", 12, seed=1).images).any()
    assert (scenes.images[0] != scenes.images[1]).any()


def test_scenes__boxes_fit_masks(scenes):
    assert (scenes.kinds >= 0).sum() > 12
    for index, mask in enumerate(scenes.masks):
        rest = mask.copy()
        for box, kind in zip(scenes.boxes[index], scenes.kinds[index], strict=True):
            left, top, right, bottom = box.astype(int)
            inside = mask[top:bottom, left:right] == kind + 1
            if kind < 0:
                assert not box.any()
                continue
            for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
                assert edge.any()  # no box is larger than what it holds
            rest[top:bottom, left:right] = 0
        assert not rest.any()
        cloth = scenes.images[index, ..., 0][mask > 0]
        assert cloth.min() >= 128


def test_write_scenes__masks_of_the_scenes(example, scenes, tmp_path):
    write_scenes = example("scenes").write_scenes
    write_scenes(tmp_path / "scenes", {"test": {"split": "test", "count": 12}})
    source = load_mask_dataset(tmp_path / "scenes", "test")
    assert source.class_names == ("background", *example("scenes").KINDS)
    dataset = mask_dataset(source, batch_size=12, image_size=48, channels=1)
    images, masks = next(iter(dataset))
    np.testing.assert_array_equal(images, scenes.images)
    np.testing.assert_array_equal(masks, scenes.masks)
    write_scenes(tmp_path / "scenes", {})  # which exists
    assert len(load_mask_dataset(tmp_path / "scenes", "test")) == 12


def test_segmentation__recipe(example):
    recipe = example("segmentation").scene_recipe("scenes", 3)
    model = build_model(recipe, 6)
    assert model.output_shape == (None, 48, 48, 6)


def test_detection__strides(example):
    pyramid = example("detection_features").pyramid
    tnt = small(depth=12, inner_blocks=(1,), input_shape=(64, 96, 3))
    shapes = {name: tensor.shape for name, tensor in pyramid(tnt).output.items()}
    assert shapes == {
        f"P{level}": (None, 64 // stride, 96 // stride, 48)
        for level, stride in ((2, 4), (3, 8), (4, 16), (5, 32))
    }
    fine = small(depth=4, patch_size=8, inner_stride=2, input_shape=(48, 48, 1))
    assert list(pyramid(fine, (1, 2, 3, 4)).output) == ["P1", "P2", "P3", "P4"]


def test_detection__coarser_levels(example):
    tnt = small(depth=4)
    found = example("detection_features").pyramid(tnt, (1, 2, 3, 4))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), "uint8")
    maps = found(images)
    features = keras_tnt.feature_extractor(tnt, (3, 4))(images)
    np.testing.assert_allclose(maps["P4"], features["block_3"], atol=1e-5)
    halved = keras.ops.max_pool(features["block_4"], 2, padding="same")
    np.testing.assert_allclose(maps["P5"], halved, atol=1e-5)


def test_detection__iou(example):
    boxes = np.array([[0, 0, 4, 4], [10, 10, 12, 12]])
    others = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [4, 4, 8, 8]])
    found = example("detection_features").iou(boxes, others)
    np.testing.assert_allclose(found, [[1, 1 / 3, 0], [0, 0, 0]], atol=1e-6)


def test_detection__average_precision(example, scenes):
    average_precision = example("detection_features").average_precision
    kind = scenes.kinds[scenes.kinds >= 0][0]
    perfect = {
        "boxes": scenes.boxes,
        "labels": scenes.kinds,
        "confidence": np.full(scenes.kinds.shape, 0.9),
    }
    assert average_precision(scenes, perfect, kind) == pytest.approx(1)
    moved = perfect | {"boxes": scenes.boxes + 1000}
    assert average_precision(scenes, moved, kind) == 0
    nothing = perfect | {"labels": np.full_like(scenes.kinds, -1)}
    assert average_precision(scenes, nothing, kind) == 0
    # A second, surer box on nothing before each right one halves every precision.
    doubled = {
        "boxes": np.concatenate([scenes.boxes + 1000, scenes.boxes], axis=1),
        "labels": np.concatenate([scenes.kinds, scenes.kinds], axis=1),
        "confidence": np.concatenate(
            [np.full(scenes.kinds.shape, value) for value in (0.9, 0.8)], axis=1
        ),
    }
    count = (scenes.kinds == kind).sum()
    wanted = np.mean(np.arange(1, count + 1) / (count + np.arange(1, count + 1)))
    assert average_precision(scenes, doubled, kind) == pytest.approx(wanted)


def test_detection__trains_under_keras_hub(example):
    pytest.importorskip("keras_hub", reason="KerasHub is not installed (extra hub)")
    build = example("detection_features").build
    tnt = small(depth=4, patch_size=8, inner_stride=2, input_shape=(48, 48, 1))
    model = build(tnt, (1, 2, 3, 4), 5, levels=(2, 3))
    found = model(np.zeros((1, 48, 48, 1), "uint8"))
    boxes = 9 * (12 * 12 + 6 * 6)  # nine anchors at each place of both maps
    assert found["bbox_regression"].shape == (1, boxes, 4)
    assert found["cls_logits"].shape == (1, boxes, 5)


def test_retrieval__nearest_others(example):
    retrieval = example("retrieval")
    angles = np.radians([0, 10, 90, 95, 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    neighbours = retrieval.nearest(vectors, 2)
    np.testing.assert_array_equal(neighbours[:, 0], [1, 0, 3, 2, 3])
    assert neighbours[0, 1] == 2
    assert retrieval.recall_at_1(neighbours, np.array([0, 0, 1, 2, 2])) == 0.6


def test_retrieval__class_token(example):
    model = small(input_shape=(32, 32, 1))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), "uint8")
    found = example("retrieval").embed(model, images)
    tokens = keras_tnt.feature_extractor(
        model, (2,), class_token=True, final_norm=True
    )(images)["block_2_class_token"]
    expected = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_plot_detections__boxes_above_the_least_confidence(
    example, scenes, tmp_path, monkeypatch
):
    figures = saved_figures(monkeypatch)
    shown = type(scenes)(*(field[:2] for field in scenes))
    found = {
        "boxes": np.array([[[1, 2, 11, 22], [0, 0, 5, 5]]] * 2),
        "labels": np.array([[1, 2]] * 2),
        "confidence": np.array([[0.9, 0.1]] * 2),
    }
    example("detection_features").plot_detections(shown, found, tmp_path / "boxes.png")
    for index, axis in enumerate(figures[0].axes):
        np.testing.assert_array_equal(image_of(axis), shown.images[index, ..., 0])
        solid = [patch for patch in axis.patches if patch.get_linestyle() == "-"]
        dashed = [patch for patch in axis.patches if patch.get_linestyle() == "--"]
        (box,) = solid
        assert (*box.get_xy(), box.get_width(), box.get_height()) == (0.5, 1.5, 10, 20)
        assert len(dashed) == (shown.kinds[index] >= 0).sum()


def test_plot_neighbours__other_classes_in_red(example, tmp_path, monkeypatch):
    figures = saved_figures(monkeypatch)
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), "uint8")
    neighbours = np.array([[1, 2], [0, 2], [0, 1]])
    path = tmp_path / "neighbours.png"
    example("retrieval").plot_neighbours(images, [4, 4, 7], neighbours, [0, 2], path)
    axes = figures[0].axes
    for axis, index in zip(axes, [0, 1, 2, 2, 0, 1], strict=True):
        np.testing.assert_array_equal(image_of(axis), images[index, ..., 0])
    colors = [axis.title.get_color() for axis in axes]
    assert colors == ["black", "black", "crimson", "black", "crimson", "crimson"]
