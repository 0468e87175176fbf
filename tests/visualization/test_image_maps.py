"""Attention as maps over patches and pixels, and followed through the blocks."""

import numpy as np
import pytest

import keras_tnt
from keras_tnt.visualization import (
    AttentionMaps,
    attention_rollout,
    block_map,
    class_token_map,
    inside_patch,
    most_attended_patch,
    on_pixel_grid,
    patch_attention,
    resize_maps,
)
from tests.helpers.small import pixels, small, small_pyramid


def rows_of_weights(*shape):
    weights = np.random.default_rng(0).uniform(0, 1, shape).astype("float32")
    return weights / weights.sum(axis=-1, keepdims=True)


def outer_maps(*blocks, grid=(2, 3), sr_ratio=1):
    numbered = dict(enumerate(blocks, start=1))
    return AttentionMaps(
        numbered, {}, dict.fromkeys(numbered, grid), dict.fromkeys(numbered, sr_ratio)
    )


def test_class_token_map__mean_of_heads():
    outer = np.zeros((1, 2, 7, 7))
    outer[0, :, 0] = [[0.5, 0.1, 0, 0.1, 0, 0, 0.3], [0.3, 0.1, 0, 0.3, 0, 0, 0.3]]
    outer[0, :, 1:] = 1 / 7  # what the patches attend to does not count
    found = class_token_map(outer, (2, 3))
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, [[[1 / 3, 0, 2 / 3], [0, 0, 1]]], rtol=1e-6)


def test_class_token_map__image_size():
    outer = rows_of_weights(2, 3, 7, 7)
    found = class_token_map(outer, (2, 3), (32, 48))
    assert (found.shape, found.dtype) == ((2, 32, 48), "float32")
    small_map = class_token_map(outer, (2, 3))
    # Bilinear: each patch has its value at its center, between the two middle pixels.
    centers = (found[:, 7::16, 7::16] + found[:, 8::16, 8::16]) / 2
    np.testing.assert_allclose(centers, small_map, atol=0.05)
    np.testing.assert_allclose(found[:, 0, 0], small_map[:, 0, 0], rtol=1e-6)


def test_class_token_map__images_independent():
    maps = np.stack([np.zeros((2, 3)), np.ones((2, 3))])
    found = resize_maps(maps, (5, 7))
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_array_equal(found[1], 1)


def test_block_map__tnt():
    maps = outer_maps(rows_of_weights(2, 3, 7, 7), rows_of_weights(2, 3, 7, 7)[:, ::-1])
    np.testing.assert_array_equal(
        block_map(maps, 2), class_token_map(maps.outer[2], (2, 3))
    )
    weights = maps.outer[1][:, :, 1 + 5, 1:].mean(axis=1)  # of the last patch
    expected = (weights / weights.max(axis=1, keepdims=True)).reshape(2, 2, 3)
    found = block_map(maps, 1, patch=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert block_map(maps, 1, size=(20, 30)).shape == (2, 20, 30)


def test_block_map__pooled_keys():
    """3x5 patches, pooled by two: the last row and column are in no square."""
    outer = np.zeros((1, 1, 15, 2), "float32")
    outer[0, 0, :, 0], outer[0, 0, :, 1] = 0.25, 0.75
    outer[0, 0, 7] = [1, 0]
    maps = outer_maps(outer, grid=(3, 5), sr_ratio=2)
    left, right = (14 * 0.25 + 1) / 15, 14 * 0.75 / 15
    row = [left / right, left / right, 1, 1, 0]
    np.testing.assert_allclose(block_map(maps, 1), [[row, row, [0] * 5]], rtol=1e-6)
    row = [1, 1, 0, 0, 0]
    np.testing.assert_array_equal(
        block_map(maps, 1, patch=(1, 2)), [[row, row, [0] * 5]]
    )


def test_inside_patch__tnt():
    model = small(inner_blocks=(2,))
    maps = keras_tnt.attention_maps(model, pixels(model, 2))
    inside = inside_patch(maps, 2, (1, 0))
    np.testing.assert_array_equal(inside, maps.inner[2][:, 3])
    grid = on_pixel_grid(inside)
    assert grid.shape == (2, 4, 16, 4, 4)
    np.testing.assert_array_equal(grid[1, 2, 7, 3, 1], inside[1, 2, 7, 13])


def test_inside_patch__pyramid():
    model = small_pyramid()
    maps = keras_tnt.attention_maps(model, pixels(model, 1))
    inside = inside_patch(maps, 2, (3, 1))
    np.testing.assert_array_equal(inside, maps.inner[2][:, 3 * 6 + 1])


def test_image_maps__missing_block():
    model = small(inner_blocks=(1,))
    maps = keras_tnt.attention_maps(model, pixels(model, 1))
    with pytest.raises(ValueError, match=r"Block 0 has no attention.*\[1, 2\]"):
        block_map(maps, 0)
    with pytest.raises(ValueError, match=r"Block 2 has no inner transf.* of \[1\]"):
        inside_patch(maps, 2, (0, 0))
    for patch in ((2, 0), (0, 3), (-1, 0)):
        with pytest.raises(ValueError, match=r"no patch .*within 2x3 patches"):
            inside_patch(maps, 1, patch)
        with pytest.raises(ValueError, match=r"no patch .*within 2x3 patches"):
            block_map(maps, 1, patch)


def test_attention_rollout__by_hand():
    """A class token and one patch; a head of the first block attends to itself only."""
    first = np.array([[[[1, 0], [0, 1]], [[0.5, 0.5], [0.2, 0.8]]]])
    second = np.array([[[[0.4, 0.6], [1, 0]]]])
    # With residual: first [[.875, .125], [.05, .95]], second [[.7, .3], [.5, .5]].
    expected = [[[0.6275, 0.3725], [0.4625, 0.5375]]]
    rollout = attention_rollout(outer_maps(first, second, grid=(1, 1)))
    np.testing.assert_allclose(rollout, expected, rtol=1e-6)


def test_attention_rollout__model():
    model = small(depth=3)
    maps = keras_tnt.attention_maps(model, pixels(model, 2))
    rollout = attention_rollout(maps)
    assert (rollout.shape, rollout.dtype) == ((2, 7, 7), "float32")
    np.testing.assert_allclose(rollout.sum(axis=-1), 1, atol=1e-6)
    assert class_token_map(rollout, (2, 3), (32, 48)).shape == (2, 32, 48)
    one = AttentionMaps(*({1: part[1]} for part in maps))
    expected = (maps.outer[1].mean(axis=1) + np.eye(7)) / 2
    np.testing.assert_allclose(attention_rollout(one), expected, atol=1e-6)


def test_attention_rollout__pyramid():
    model = small_pyramid()
    maps = keras_tnt.attention_maps(model, pixels(model, 1))
    with pytest.raises(ValueError, match=r"PyramidTNT.*block_map"):
        attention_rollout(maps)


def test_most_attended_patch__tnt():
    outer = np.full((1, 1, 7, 7), 0.1)
    outer[0, 0, 0, 1 + 4] = 0.4
    maps = AttentionMaps({1: outer}, {}, {1: (2, 3)}, {1: 1})
    assert most_attended_patch(maps, 1) == (1, 1)


def test_most_attended_patch__late_block_of_pyramid():
    """The second of 2x2 patches over 8x12 begins at row 0, column 6."""
    late = np.full((1, 1, 4, 4), 0.2)
    late[..., 1] = 0.4
    early = np.full((1, 1, 96, 6), 1 / 6)
    maps = AttentionMaps({1: early, 2: late}, {}, {1: (8, 12), 2: (2, 2)}, {1: 4, 2: 1})
    assert most_attended_patch(maps, 2) == (0, 6)


def test_patch_attention__tnt_without_class_token():
    outer = rows_of_weights(2, 3, 7, 7)
    found = patch_attention(outer_maps(outer), 1)
    assert (found.shape, found.dtype) == ((2, 6, 6), "float32")
    np.testing.assert_allclose(found, outer.mean(axis=1)[:, 1:, 1:], rtol=1e-6)


def test_patch_attention__pooled_keys_count_for_their_square():
    """Of 5x4 patches, pooled by two to 2x2 keys, the last row is in no square."""
    outer = rows_of_weights(1, 2, 20, 4)
    found = patch_attention(outer_maps(outer, grid=(5, 4), sr_ratio=2), 1)
    assert found.shape == (1, 20, 20)
    by_place = found.reshape(20, 5, 4)
    mean = outer.mean(axis=1)[0].reshape(20, 2, 2)
    np.testing.assert_allclose(by_place[:, :4:2, ::2], mean, rtol=1e-6)
    np.testing.assert_allclose(by_place[:, 1:4:2, 1::2], mean, rtol=1e-6)
    np.testing.assert_array_equal(by_place[:, 4], 0)
