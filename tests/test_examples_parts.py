"""The parts of the examples of dense tasks and retrieval."""

import importlib

import numpy as np
import pytest

import keras_tnt
from keras_tnt.data import (
    box_dataset,
    load_box_dataset,
    load_mask_dataset,
    mask_dataset,
)
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


def test_write_scenes__boxes_of_the_scenes(example, scenes, tmp_path):
    splits = {"test": {"split": "test", "count": 12}}
    example("scenes").write_scenes(tmp_path / "scenes", splits, boxes=True)
    source = load_box_dataset(str(tmp_path / "scenes"), "test", max_boxes=6)
    assert source.class_names == example("scenes").KINDS
    dataset = box_dataset(source, batch_size=12, image_size=48, channels=1)
    images, objects = next(dataset.as_numpy_iterator())
    np.testing.assert_array_equal(images, scenes.images)
    for index, kinds in enumerate(scenes.kinds):
        count = (kinds >= 0).sum()
        found = objects["boxes"][index]
        np.testing.assert_array_equal(found[:count], scenes.boxes[index][kinds >= 0])
        assert not found[count:].any()
        labels = objects["labels"][index, :count]
        np.testing.assert_array_equal(labels, kinds[kinds >= 0])


def test_detection__recipe(example):
    pytest.importorskip("keras_hub", reason="KerasHub is not installed (extra hub)")
    recipe = example("detection").scene_recipe("scenes", 3)
    model = build_model(recipe, 5)
    anchors = 9 * (12 * 12 + 6 * 6 + 3 * 3)
    assert model.output["cls_logits"].shape == (None, anchors, 5)


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
