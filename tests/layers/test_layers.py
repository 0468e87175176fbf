"""Every layer passes the shared checks."""

import pytest

from keras_tnt import layers
from tests.checks import check_layer

PIXELS = (3, 8, 16, 12)
TOKENS = (3, 9, 48)


@pytest.mark.parametrize(
    ("layer", "shapes", "weights"),
    [
        (layers.SelfAttention(3), [TOKENS], 3),
        (layers.SelfAttention(4, qkv_bias=True), [TOKENS], 4),
        (layers.FeedForward(), [TOKENS], 4),
        (layers.FeedForward(mlp_ratio=0.5), [TOKENS], 4),
        (layers.SqueezeExcitation(), [TOKENS], 6),
        (layers.TransformerBlock(3), [TOKENS], 11),
        (layers.TransformerBlock(3, se_ratio=0.25, qkv_bias=True), [TOKENS], 18),
        (layers.TransformerBlock(3, remat=True), [TOKENS], 11),
        (layers.PixelEmbedding(12), [(3, 64, 32, 3)], 3),
        (layers.PixelEmbedding(5, patch_size=7, stride=2), [(3, 14, 21, 1)], 3),
        (layers.PatchEmbedding(48), [PIXELS], 8),
        (layers.TNTBlock(3, 4), [PIXELS, TOKENS], 27),
        (layers.TNTBlock(3, 4, se_ratio=0.25, qkv_bias=True), [PIXELS, TOKENS], 35),
        (layers.TNTBlock(3, 4, remat=True), [PIXELS, TOKENS], 27),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_layer(layer, shapes, weights):
    check_layer(layer, *shapes, weights=weights)


def test_every_public_layer_is_checked():
    parameters = test_layer.pytestmark[0].args[1]
    checked = {type(layer).__name__ for layer, _, _ in parameters}
    assert checked == set(layers.__all__) - {"gelu"}
