"""The arithmetic of the layers, beyond the shared checks."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_tnt import layers
from tests.helpers import graphs
from tests.helpers.small import randomised


def built(layer, *inputs):
    """The layer, built for these inputs, with random weights."""
    layer(*inputs)
    return randomised(layer)


def test_gelu__is_exact_and_uses_erf():
    x = np.linspace(-6, 6, 1001, dtype="float32")
    expected = x * scipy.special.ndtr(x.astype("float64"))
    np.testing.assert_allclose(layers.gelu(x), expected, atol=2e-6)
    operations = graphs.operations(graphs.traced(layers.gelu, (None,)))
    assert "Erf" in operations
    assert "Erfc" not in operations


def test_tnt_block__dense_sublayers_work_on_rows(rng):
    """The CPU backend fuses bias and activation with products of rank 2 only."""
    block = layers.TNTBlock(3, 4)
    inputs = [rng.normal(size=shape) for shape in ((2, 8, 16, 12), (2, 9, 48))]
    block(*inputs)
    graph = tf.function(lambda *x: block(*x)).get_concrete_function(*inputs)
    products = [o for o in graph.graph.get_operations() if o.type == "MatMul"]
    assert len(products) == 9  # four inner, pixel projection, four outer
    assert not [o for o in graph.graph.get_operations() if o.type == "Einsum"]


def test_self_attention__scores(rng):
    tokens = rng.normal(size=(2, 9, 48)).astype("float32")
    attention = built(layers.SelfAttention(3), tokens)
    outputs, scores = attention(tokens, return_attention_scores=True)
    np.testing.assert_array_equal(outputs, attention(tokens))
    assert scores.shape == (2, 3, 9, 9)
    np.testing.assert_allclose(np.sum(scores, axis=-1), 1, rtol=1e-5)

    query, key, _ = np.split(tokens @ attention.qkv.kernel.numpy(), 3, axis=-1)
    head = slice(16, 32)  # the second head's columns
    logits = query[..., head] @ key[..., head].transpose(0, 2, 1) / 4
    expected = scipy.special.softmax(logits, axis=-1)
    np.testing.assert_allclose(scores[:, 1], expected, atol=1e-5)


def test_tnt_block__returns_inner_and_outer_scores(rng):
    pixels = rng.normal(size=(2, 8, 16, 12)).astype("float32")
    patches = rng.normal(size=(2, 9, 48)).astype("float32")
    block = built(layers.TNTBlock(3, 4), pixels, patches)
    results = block(pixels, patches, return_attention_scores=True)
    for found, expected in zip(results[:2], block(pixels, patches), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [score.shape for score in results[2:]] == [(2, 8, 4, 16, 16), (2, 3, 9, 9)]
    for score in results[2:]:
        np.testing.assert_allclose(np.sum(score, axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("num_queries", [1, 4])
@pytest.mark.parametrize(
    "layer",
    [
        layers.SelfAttention(3),
        layers.TransformerBlock(3),
        layers.TransformerBlock(3, remat=True),
        layers.TransformerBlock(3, se_ratio=0.25, qkv_bias=True),
        layers.TransformerBlock(3, norm_over_tokens=True),
        layers.TNTBlock(3, 4),
        layers.TNTBlock(3, 4, se_ratio=0.25),
        layers.TNTBlock(3, 4, remat=True),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "name") else "",
)
def test_num_queries__the_first_of_all_outputs(layer, num_queries, rng):
    """Outputs, scores, gradients and symbolic shapes, as if the others were cut off."""
    shapes = [(2, 9, 48)]
    if isinstance(layer, layers.TNTBlock):
        shapes.insert(0, (2, 8, 16, 12))
    inputs = [tf.constant(rng.normal(size=shape).astype("float32")) for shape in shapes]
    layer = type(layer).from_config(layer.get_config())
    layer = built(layer, *inputs)

    def run(tokens_kept, **options):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            tokens = keras.tree.flatten(layer(*inputs, **options))[-1]
            loss = tf.reduce_sum(tf.sin(tokens[:, :tokens_kept]))
        return tokens, tape.gradient(loss, inputs)

    for training in (False, True):
        whole, expected = run(num_queries, training=training)
        tokens, found = run(None, training=training, num_queries=num_queries)
        np.testing.assert_allclose(tokens, whole[:, :num_queries], atol=1e-5)
        for gradient, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(gradient, right, atol=1e-5)
    options = {"return_attention_scores": True, "training": False}
    *_, scores = layer(*inputs, num_queries=num_queries, **options)
    np.testing.assert_allclose(
        scores, layer(*inputs, **options)[-1][:, :, :num_queries], atol=1e-5
    )
    symbols = [keras.KerasTensor((None, *shape[1:])) for shape in shapes]
    outputs = keras.tree.flatten(layer(*symbols, num_queries=num_queries))
    assert outputs[-1].shape == (None, num_queries, 48)
    assert len(outputs) == len(shapes)


@pytest.mark.parametrize("num_queries", [0, -1, 10])
def test_num_queries__out_of_range(num_queries, rng):
    tokens = rng.normal(size=(2, 9, 48)).astype("float32")
    for layer in (layers.SelfAttention(3), layers.TransformerBlock(3)):
        with pytest.raises(ValueError, match="from 1 to the 9 tokens"):
            built(layer, tokens)(tokens, num_queries=num_queries)


def test_tnt_block__projection_leaves_class_token(rng):
    pixels = rng.normal(size=(2, 8, 16, 12)).astype("float32")
    patches = rng.normal(size=(2, 9, 48)).astype("float32")
    block = built(layers.TNTBlock(3, 4), pixels, patches)
    # Without the outer branches, only the pixel projection is left.
    for dense in (block.outer.attention.projection, block.outer.feed_forward):
        for weight in dense.weights:
            weight.assign(0 * weight)
    _, found = block(pixels, patches)
    np.testing.assert_array_equal(found[:, 0], patches[:, 0])
    assert np.all(np.any(found[:, 1:] != patches[:, 1:], axis=-1))


def test_spatial_reduction_attention__pools_keys_and_adds_bias(rng):
    """With a large bias for one key, every patch attends to that window only."""
    patches = rng.normal(size=(1, 4, 6, 16)).astype("float32")
    bias = np.zeros((1, 2, 24, 6), "float32")
    bias[..., 4] = 1000  # the middle window of the second row
    attention = built(layers.SpatialReductionAttention(2, 2), patches, bias)
    found = np.asarray(attention(patches, bias))
    np.testing.assert_allclose(found, found[:, :1, :1] + 0 * found, atol=1e-5)
    changed = patches.copy()
    changed[:, :2] += 1  # other windows do not matter
    np.testing.assert_allclose(attention(changed, bias), found, atol=1e-5)
    changed[:, 2, 2] += 1
    assert np.abs(attention(changed, bias) - found).max() > 1e-3


def test_pixel_merging__uses_four_patches_only(rng):
    pixels = rng.normal(size=(1, 4, 6, 16, 4)).astype("float32")
    merging = built(layers.PixelMerging(5), pixels)
    changed = pixels.copy()
    changed[:, 3, 2] += rng.normal(size=(16, 4))
    difference = np.abs(merging(changed) - merging(pixels)).max(axis=(0, 3, 4))
    assert difference[1, 1] > 0
    difference[1, 1] = 0
    assert not difference.any()


def test_pixel_embedding__patches_do_not_see_neighbors(rng):
    images = rng.normal(size=(1, 32, 32, 3)).astype("float32")
    embedding = built(layers.PixelEmbedding(5), images)
    changed = images.copy()
    changed[:, :16, :16] += 1  # the first patch
    difference = np.abs(embedding(changed) - embedding(images)).max(axis=(0, 2, 3))
    assert difference[0] > 0
    assert not difference[1:].any()


def test_transformer_block__drop_path_drops_whole_sequences(rng):
    tokens = rng.normal(size=(200, 5, 12)).astype("float32")
    block = built(layers.TransformerBlock(3, drop_path_rate=0.5), tokens[:1])
    block.feed_forward_drop_path.rate = 1.0  # x + attention or x remains
    branch = np.asarray(block(tokens, training=True)) - tokens
    dropped = np.abs(branch).max(axis=(1, 2)) == 0
    assert 70 < dropped.sum() < 130
    kept = np.asarray(block.attention(block.attention_norm(tokens)))[~dropped]
    np.testing.assert_allclose(branch[~dropped], 2 * kept, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(block(tokens), block(tokens))


def test_tnt_block__inner_drop_path_is_drawn_for_each_patch(rng):
    pixels = rng.normal(size=(2, 64, 16, 12)).astype("float32")
    patches = rng.normal(size=(2, 65, 48)).astype("float32")
    block = built(layers.TNTBlock(3, 4, drop_path_rate=0.5), pixels, patches)
    changed = np.any(block(pixels, patches, training=True)[0] != pixels, axis=(2, 3))
    for image in changed:  # a quarter of the patches lose both branches
        assert 32 < image.sum() < 62


def test_dropout__only_in_training(rng):
    tokens = rng.normal(size=(2, 9, 48)).astype("float32")
    for layer in (
        layers.SelfAttention(3, dropout_rate=0.5),
        layers.FeedForward(dropout_rate=0.5),
    ):
        np.testing.assert_array_equal(layer(tokens), layer(tokens))
        assert np.any(layer(tokens, training=True) != layer(tokens, training=True))


def averaging(layer, *inputs):
    """Attention with equal scores, the values 1 and an identity as projection."""
    layer(*inputs)
    for weight in layer.weights:
        weight.assign(np.zeros(weight.shape))
    bias = layer.qkv.bias if hasattr(layer, "qkv") else layer.key_value.bias
    dim = inputs[0].shape[-1]
    bias.assign(np.repeat([0.0, 1.0], [bias.shape[0] - dim, dim]))
    layer.projection.kernel.assign(np.eye(dim))
    return layer


def test_attention_dropout__drops_scores_of_keys():
    options = {"qkv_bias": True, "attention_dropout_rate": 0.5}
    tokens, patches = np.ones((8, 16, 6)), np.ones((8, 4, 4, 6))
    bias = np.zeros((1, 3, 16, 16))
    for layer, inputs in (
        (layers.SelfAttention(3, **options), (tokens,)),
        (layers.SpatialReductionAttention(3, **options), (patches, bias)),
    ):
        averaging(layer, *inputs)
        np.testing.assert_allclose(layer(*inputs), np.ones(inputs[0].shape), rtol=1e-5)
        found, scores = layer(*inputs, training=True, return_attention_scores=True)
        np.testing.assert_allclose(scores, np.full(scores.shape, 1 / 16), rtol=1e-5)
        kept = np.reshape(found, (-1, 3, 2)) * 16 / 2  # keys of each query and head
        np.testing.assert_allclose(kept, kept.round(), atol=1e-4)
        np.testing.assert_array_equal(kept[..., 0], kept[..., 1])
        assert 7 < kept.mean() < 9
        assert len(np.unique(kept.round())) > 4


def test_pyramid_stem__drops_positions_with_one_mask_for_the_batch(rng):
    images = np.repeat(rng.normal(size=(1, 32, 32, 3)), 3, axis=0)
    stem = layers.PyramidStem(8, 2, dropout_rate=0.5)
    stem(images)
    values = []
    for position in (0.0, 1.0):
        shape = stem.patch_position_embedding.shape
        stem.patch_position_embedding.assign(np.full(shape, position))
        values.append(stem(images, training=True)[1].numpy())
    masks = (values[1] - values[0]) / 2  # the batch norms use the same statistics
    np.testing.assert_allclose(masks, masks.round(), atol=1e-5)
    np.testing.assert_allclose(masks, masks[:1].repeat(3, axis=0), atol=1e-5)
    assert 0.3 < masks.mean() < 0.7


@settings(max_examples=25, deadline=None)
@given(
    patch=st.integers(1, 18),
    stride=st.integers(1, 18),
    rows=st.integers(1, 3),
    columns=st.integers(1, 3),
    channels=st.integers(1, 4),
)
def test_pixel_embedding__any_geometry(patch, stride, rows, columns, channels):
    layer = layers.PixelEmbedding(2, patch, stride)
    shape = (1, rows * patch, columns * patch, channels)
    found = layer(np.ones(shape, "float32")).shape
    assert found == layer.compute_output_shape(shape)
    assert found == (1, rows * columns, (-(-patch // stride)) ** 2, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.SelfAttention(0), "num_heads must be at least 1, got 0"),
        (
            lambda: layers.SelfAttention(5)(np.ones((1, 2, 12))),
            "multiple of num_heads, got width 12 and num_heads=5",
        ),
        (
            lambda: layers.FeedForward(0.01)(np.ones((1, 2, 12))),
            "mlp_ratio must give at least one hidden unit",
        ),
        (
            lambda: layers.SqueezeExcitation(0.01)(np.ones((1, 2, 12))),
            "ratio must give at least one hidden unit",
        ),
        (lambda: layers.PixelEmbedding(12, stride=0), "at least 1, got .*stride=0"),
        (lambda: layers.PatchEmbedding(0), "dim must be at least 1"),
        (
            lambda: layers.PixelEmbedding(12)(np.ones((1, 30, 32, 3))),
            "multiples of 16, got 30x32",
        ),
        (
            lambda: layers.PixelEmbedding(12)(keras.Input((None, 32, 3))),
            "static size, got shape",
        ),
        (
            lambda: layers.TNTBlock(3, 4)(np.ones((1, 8, 16, 12)), np.ones((1, 8, 48))),
            "each of the 8 patches, got 8 tokens",
        ),
        (
            lambda: layers.SpatialReductionAttention(2, 0),
            "at least 1, got num_heads=2, sr_ratio=0",
        ),
        (
            lambda: layers.SpatialReductionAttention(3)(
                np.ones((1, 2, 2, 16)), np.ones((1, 3, 4, 4))
            ),
            "multiple of num_heads, got width 16 and num_heads=3",
        ),
        (
            lambda: layers.SpatialReductionAttention(2, 4)(
                np.ones((1, 8, 3, 16)), np.ones((1, 2, 24, 1))
            ),
            "sr_ratio=4 needs at least as many rows .* got 8x3",
        ),
        (
            lambda: layers.SpatialReductionAttention(2, 2)(
                np.ones((1, 4, 4, 16)), np.ones((1, 2, 16, 16))
            ),
            r"position bias of shape \(1, 2, 16, 4\), got \(1, 2, 16, 16\)",
        ),
        (
            lambda: layers.PixelMerging(4)(np.ones((1, 4, 4, 15, 8))),
            "square number of pixels in each patch, got 15",
        ),
        (
            lambda: layers.PyramidTNTBlock(2, 2)(
                np.ones((1, 4, 3, 16, 8)),
                np.ones((1, 3, 4, 16)),
                np.ones((1, 2, 12, 12)),
            ),
            "same rows and columns",
        ),
        (
            lambda: layers.PyramidStage(2, 2, 2, drop_path_rates=[0.1]),
            "one rate for each block, got depth=2 and 1 rates",
        ),
        (lambda: layers.PyramidStem(16, 0), "at least 1, got .*inner_dim=0"),
    ],
)
def test_layer__bad_arguments_raise(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_pixel_merging__transposes_six_axes_at_most():
    """LiteRT transposes no more."""
    layer = layers.PixelMerging(6)
    layer.build((None, 5, 7, 16, 8))
    function = tf.function(lambda x: layer(x))
    spec = tf.TensorSpec((None, 5, 7, 16, 8), tf.float32)
    graph = function.get_concrete_function(spec).graph
    transposes = [op for op in graph.get_operations() if op.type == "Transpose"]
    assert transposes
    assert max(op.inputs[0].shape.rank for op in transposes) <= 6
