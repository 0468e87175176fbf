"""Every layer passes the shared checks."""

import pytest

from keras_tnt import layers
from tests.helpers.checks import check_layer

PIXELS = (3, 8, 16, 12)
TOKENS = (3, 9, 48)
PIXEL_MAP = (3, 4, 7, 16, 8)
PATCH_MAP = (3, 4, 7, 16)
ATTENDING = [PATCH_MAP, (1, 2, 28, 28)]
POOLING = [PATCH_MAP, (1, 2, 28, 6)]


@pytest.mark.parametrize(
    ("layer", "shapes", "weights"),
    [
        (layers.LayerNorm(), [TOKENS], 2),
        (layers.LayerNorm(axis=(-2, -1)), [PIXELS], 2),
        (layers.SelfAttention(3), [TOKENS], 3),
        (layers.SelfAttention(4, qkv_bias=True), [TOKENS], 4),
        (layers.FeedForward(), [TOKENS], 4),
        (layers.FeedForward(mlp_ratio=0.5), [TOKENS], 4),
        (layers.SqueezeExcitation(), [TOKENS], 6),
        (layers.TransformerBlock(3), [TOKENS], 11),
        (layers.TransformerBlock(3, se_ratio=0.25, qkv_bias=True), [TOKENS], 18),
        (layers.TransformerBlock(3, remat=True), [TOKENS], 11),
        (layers.TransformerBlock(3, norm_over_tokens=True), [TOKENS], 11),
        (layers.PixelEmbedding(12), [(3, 64, 32, 3)], 3),
        (layers.PixelEmbedding(5, patch_size=7, stride=2), [(3, 14, 21, 1)], 3),
        (layers.PatchEmbedding(48), [PIXELS], 8),
        (layers.TNTBlock(3, 4), [PIXELS, TOKENS], 27),
        (layers.TNTBlock(3, 4, se_ratio=0.25, qkv_bias=True), [PIXELS, TOKENS], 35),
        (layers.TNTBlock(3, 4, remat=True), [PIXELS, TOKENS], 27),
        (layers.PixelMerging(6), [PIXEL_MAP], 4),
        (layers.PatchMerging(6), [PATCH_MAP], 4),
        (layers.SpatialReductionAttention(2), ATTENDING, 4),
        (layers.SpatialReductionAttention(2, sr_ratio=2), POOLING, 8),
        (layers.SpatialReductionBlock(2, sr_ratio=2), POOLING, 16),
        (layers.PyramidTNTBlock(2, 4), [PIXEL_MAP, *ATTENDING], 28),
        (layers.PyramidTNTBlock(2, 4, 2, remat=True), [PIXEL_MAP, *POOLING], 32),
        (layers.PyramidStage(2, 2, 4, sr_ratio=2), [PIXEL_MAP, PATCH_MAP], 49),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_layers__shared_checks(layer, shapes, weights):
    check_layer(layer, *shapes, weights=weights)


def test_pyramid_stem__shared_checks():
    stem = layers.PyramidStem(outer_dim=6, inner_dim=4)
    check_layer(stem, (3, 16, 24, 3), weights=32, training=False)


def test_layers__every_public_layer_is_checked():
    parameters = test_layers__shared_checks.pytestmark[0].args[1]
    checked = {type(layer).__name__ for layer, _, _ in parameters} | {"PyramidStem"}
    assert checked == set(layers.__all__) - {"gelu"}
