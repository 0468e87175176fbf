"""The fused ops equal the plain arithmetic."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.layers import (
    FeedForward,
    LayerNorm,
    PatchEmbedding,
    PyramidTNTBlock,
    TNTBlock,
    fused_ops,
    gelu,
)
from tests.helpers.checks import two_replicas

PRECISIONS = [("float32", 1e-5), ("bfloat16", 0.05), ("float16", 5e-3)]


def gradients(function, *inputs):
    """The results and the gradients of a weighted sum of them."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = function(*inputs)
        weights = tf.reshape(tf.range(tf.size(outputs)) % 7, outputs.shape)
        loss = tf.reduce_sum(outputs * tf.cast(weights, outputs.dtype))
    return [tf.cast(t, "float32") for t in (outputs, *tape.gradient(loss, inputs))]


def assert_equal(found, expected, tolerance):
    for ours, theirs in zip(found, expected, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_gelu__equals_plain_arithmetic(dtype, tolerance, rng):
    x = tf.cast(rng.normal(0, 3, (6, 8)), dtype)
    exact = gradients(lambda x: gelu(x), tf.cast(x, "float32"))
    assert_equal(gradients(fused_ops.gelu, x), exact, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_layer_norm__equals_plain_arithmetic(dtype, tolerance, rng):
    layer = keras.layers.LayerNormalization(epsilon=1e-5)
    x = tf.cast(rng.normal(2, 3, (6, 8)), dtype)
    gamma, beta = (tf.constant(rng.normal(size=8), tf.float32) for _ in range(2))
    layer.build(x.shape)

    def plain(x, gamma, beta):
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-5)

    def ours(x, gamma, beta):
        return fused_ops.layer_norm(x, gamma, beta, 1e-5)

    exact = gradients(plain, tf.cast(x, "float32"), gamma, beta)
    assert_equal(gradients(ours, x, gamma, beta), exact, tolerance)


def test_layer_norm__large_mean_keeps_precision(rng):
    rows = tf.constant(rng.normal(3000, 1, (4, 64)), tf.float32)
    exact = rows.numpy().astype("float64")
    exact -= exact.mean(axis=-1, keepdims=True)
    exact /= np.sqrt(exact.var(axis=-1, keepdims=True) + 1e-5)
    found = fused_ops.layer_norm(rows, tf.ones([64]), tf.zeros([64]), 1e-5)
    np.testing.assert_allclose(found, exact, atol=1e-2)


def calls(layer, training):
    """How often the layer's graph calls a function compiled by XLA."""
    spec = tf.TensorSpec((None, 5, 8))
    function = tf.function(lambda x: layer(x, training=training), [spec])
    graph = function.get_concrete_function().graph
    nodes = [n for n in graph.get_operations() if n.type.endswith("PartitionedCall")]
    return sum(has_attribute(node, "_XlaMustCompile") for node in nodes)


def has_attribute(node, name):
    return name in node.node_def.attr and node.node_def.attr[name].b


@pytest.mark.parametrize("layer", [LayerNorm(), FeedForward()])
def test_use_fused_ops__only_in_training(layer):
    layer.build((None, 5, 8))
    assert calls(layer, training=True) == 1
    assert calls(layer, training=False) == 0
    assert calls(layer, training=None) == 0


def function_names(function):
    """The names of the functions that a traced function calls."""
    graph = function.get_concrete_function(tf.ones((2, 5, 8))).graph
    return {f.signature.name for f in graph.as_graph_def().library.function}


@pytest.mark.parametrize("gpus", [[], ["gpu"]])
@pytest.mark.parametrize("make", [LayerNorm, FeedForward])
def test_use_fused_ops__unless_the_step_is_compiled(make, gpus, monkeypatch):
    """Whether there is a GPU makes no difference."""
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
    layer = make()
    layer.build((None, 5, 8))
    assert calls(layer, training=True) == 1
    names = function_names(tf.function(lambda x: layer(x, training=True)))
    assert any("_layer_norm" in name or "_gelu" in name for name in names)

    def step(x):
        return layer(x, training=True)

    inner = tf.function(step, jit_compile=True)
    for function in (inner, tf.function(lambda x: inner(x), jit_compile=True)):
        names = function_names(function)
        assert not any("_layer_norm" in name or "_gelu" in name for name in names)


@pytest.mark.parametrize(
    ("visible", "on_cpu_only"), [({}, True), ({"GPU": ["gpu"]}, False)]
)
def test_runs_on_cpu_only__by_visible_devices(visible, on_cpu_only, monkeypatch):
    """A GPU that the program hides does not count."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["gpu"])
    monkeypatch.setattr(
        tf.config, "get_visible_devices", lambda kind: visible.get(kind, [])
    )
    assert fused_ops.runs_on_cpu_only() is on_cpu_only


COMPILED = ("_gelu", "_gelu_gradient", "_layer_norm", "_layer_norm_gradients")


@pytest.fixture
def compiled_sizes(monkeypatch):
    """The numbers of rows that XLA would compile for, by function and width."""
    sizes = collections.defaultdict(set)

    def record(name, function):
        def recorded(x, *others):
            sizes[name, x.shape[-1]].add(x.shape[0])
            return function.__wrapped__(x, *others)

        return recorded

    for name in COMPILED:
        monkeypatch.setattr(fused_ops, name, record(name, getattr(fused_ops, name)))
    return sizes


def layers_and_inputs(kind, batch):
    shapes = [(batch, 4, 9, 8), (batch, 5, 12)]
    if kind == "pyramid":
        shapes = [(batch, 2, 2, 9, 8), (batch, 2, 2, 12), (1, 3, 4, 1)]
    rng = np.random.default_rng(batch)
    return [tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes]


@pytest.mark.parametrize("kind", ["tnt", "pyramid", "embedding"])
def test_fused_ops__few_batch_sizes_compile(kind, compiled_sizes):
    """Batches of 1 to 40 images have 17 sizes, in all layers."""
    expected_sizes = [*range(1, 9), 10, 12, 14, 16, 20, 24, 28, 32, 40]
    layer = {
        "tnt": TNTBlock(3, 2, se_ratio=0.5),
        "pyramid": PyramidTNTBlock(3, 2, sr_ratio=2),
        "embedding": PatchEmbedding(12),
    }[kind]
    expected = {}
    for batch in range(1, 41):
        inputs = layers_and_inputs(kind, batch)
        inputs = inputs[:1] if kind == "embedding" else inputs
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(*inputs, training=True)
        tape.gradient(outputs, inputs)
        if batch == 1:
            for key, units in compiled_sizes.items():
                expected[key] = {unit * n for unit in units for n in expected_sizes}
    assert {name for name, _ in expected} >= {"_layer_norm", "_layer_norm_gradients"}
    assert compiled_sizes == expected


@pytest.mark.parametrize("rows_per_image", [1, 3])
def test_fused_ops__padding_of_known_and_unknown_numbers_of_rows(rows_per_image):
    unknown = tf.function(
        lambda x: fused_ops._pad(x, rows_per_image), [tf.TensorSpec((None, 2))]
    )
    for images in (*range(1, 40), 1000):
        rows = tf.ones((images * rows_per_image, 2))
        padded = fused_ops._pad(rows, rows_per_image)
        assert padded.shape[0] in {n * rows_per_image for n in fused_ops.BATCH_SIZES}
        assert len(rows) <= len(padded) <= len(rows) * 1.25
        np.testing.assert_array_equal(padded[: len(rows)], rows)
        np.testing.assert_array_equal(padded[len(rows) :], 0 * padded[len(rows) :])
        np.testing.assert_array_equal(unknown(rows), padded)


@pytest.mark.parametrize("batch", [8, 9])
@pytest.mark.usefixtures("compiled_sizes")  # XLA would take seconds
def test_fused_ops__padding_changes_nothing(batch):
    """Eager and in a graph of unknown batch size, with all gradients."""
    block = TNTBlock(3, 2)
    inputs = layers_and_inputs("tnt", batch)
    block(*inputs)

    def step(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = block(*inputs, training=training)
            loss = sum(tf.reduce_sum(value**2) for value in outputs)
        weights = [weight.value for weight in block.trainable_weights]
        return [*outputs, *tape.gradient(loss, [*inputs, *weights])]

    training = False
    expected = step(*inputs)
    training = True
    specs = [tf.TensorSpec((None, *value.shape[1:])) for value in inputs]
    for found in (step(*inputs), tf.function(step, specs)(*inputs)):
        for value, plain in zip(found, expected, strict=True):
            np.testing.assert_allclose(value, plain, rtol=1e-3, atol=1e-3)


def test_batch_sizes__are_within_a_quarter_and_hold_the_usual():
    sizes = np.array(fused_ops.BATCH_SIZES)
    assert np.all(np.diff(sizes) > 0)
    assert np.all(sizes[1:] <= np.maximum(sizes[:-1] * 1.25, sizes[:-1] + 1))
    usual = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 24, 48, 96, 192, 384}
    assert usual <= set(sizes)


def test_fused_ops__two_replicas_train_as_one(rng):
    """The gradients of fused ops are summed over replicas like others."""
    x = rng.normal(size=(4, 8)).astype("float32")
    weights = []
    for strategy in (tf.distribute.get_strategy(), two_replicas()):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = keras.Sequential([keras.Input((8,)), LayerNorm(), FeedForward()])
            model.compile("sgd", "mse")
        model.fit(x, x, batch_size=4, epochs=3, verbose=0, shuffle=False)
        weights.append(model.get_weights())
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
