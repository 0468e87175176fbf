"""Layer norm: equal to Keras in every form, and one operation on CPUs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.layers import LayerNorm
from keras_tnt.layers.layer_norm import decomposed_layer_norm
from keras_tnt.utils.cpu import has_bfloat16
from tests.helpers import graphs
from tests.helpers.small import build_pyramid_tnt, build_tnt, pixels


def pair(shape, rng, **arguments):
    """Our layer and Keras's, with the same weights."""
    layers = (
        LayerNorm(**arguments),
        keras.layers.LayerNormalization(epsilon=1e-5, **arguments),
    )
    for layer in layers:
        layer.build(shape)
    values = [rng.normal(size=weight.shape) for weight in layers[0].weights]
    for layer in layers:
        layer.set_weights(values)
    return layers


def graph(layer, shape, dtype="float32", **options):
    return graphs.traced(layer.__call__, shape, dtype=dtype, **options)


@pytest.mark.parametrize("shape", [(6, 8), (2, 5, 8), (2, 3, 4, 8)], ids=str)
@pytest.mark.parametrize("dynamic", [False, True])
def test_layer_norm__equals_keras(shape, dynamic, rng):
    ours, keras_norm = pair(shape, rng)
    inputs = tf.constant(rng.normal(3, 2, shape), tf.float32)
    function = graph(ours, (None, *shape[1:]) if dynamic else shape)
    np.testing.assert_allclose(function(inputs), keras_norm(inputs), atol=1e-5)
    np.testing.assert_allclose(ours(inputs), keras_norm(inputs), atol=1e-5)


def test_layer_norm__gradients_equal_keras(rng):
    ours, keras_norm = pair((2, 5, 8), rng)
    inputs = tf.constant(rng.normal(3, 2, (2, 5, 8)), tf.float32)
    weights = rng.normal(size=inputs.shape)
    found = []
    for layer in (ours, keras_norm):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(layer(inputs) * weights)
        found.append(tape.gradient(loss, [inputs, *layer.trainable_weights]))
    for gradient, expected in zip(*found, strict=True):
        np.testing.assert_allclose(gradient, expected, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_layer_norm__half_precision_is_computed_in_float32(policy, rng):
    ours, keras_norm = pair((2, 5, 8), rng, dtype=policy)
    inputs = tf.cast(rng.normal(3, 2, (2, 5, 8)), ours.compute_dtype)
    assert ours(inputs).dtype == ours.compute_dtype
    np.testing.assert_array_equal(
        *[tf.cast(layer(inputs), "float32") for layer in (ours, keras_norm)]
    )


def test_layer_norm__large_mean_keeps_precision(rng):
    ours, _ = pair((4, 64), rng)
    inputs = rng.normal(3000, 1, (4, 64)).astype("float32")
    exact = inputs.astype("float64")
    exact -= exact.mean(axis=-1, keepdims=True)
    exact /= np.sqrt(exact.var(axis=-1, keepdims=True) + 1e-5)
    exact = exact * ours.gamma.numpy() + ours.beta.numpy()
    np.testing.assert_allclose(graph(ours, (None, 64))(inputs), exact, atol=1e-2)


@pytest.mark.parametrize("mean", [0, 100])
def test_layer_norm__bfloat16_graph_rounds_only_inputs_weights_and_results(mean, rng):
    ours, _ = pair((4, 64), rng, dtype="mixed_bfloat16")
    inputs = tf.cast(rng.normal(mean, 1, (4, 64)), "bfloat16")
    exact = tf.cast(inputs, "float64").numpy()
    exact -= exact.mean(axis=-1, keepdims=True)
    exact /= np.sqrt(exact.var(axis=-1, keepdims=True) + 1e-5)
    exact = exact * ours.gamma.numpy() + ours.beta.numpy()
    found = tf.cast(graph(ours, (None, 64), "bfloat16")(inputs), "float32")
    np.testing.assert_allclose(found, exact, rtol=2**-7, atol=2**-6)


def test_layer_norm__under_xla(rng):
    ours, keras_norm = pair((2, 5, 8), rng)
    inputs = tf.constant(rng.normal(1, 2, (2, 5, 8)), tf.float32)
    compiled = graph(ours, (2, 5, 8), jit_compile=True)
    np.testing.assert_allclose(compiled(inputs), keras_norm(inputs), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [({"axis": 1}, "float32"), ({"axis": (1, 2)}, "float32"), ({}, "float64")],
)
def test_layer_norm__not_fusible_uses_keras(arguments, dtype, rng):
    layer = LayerNorm(dtype=dtype, **arguments)
    layer.build((2, 5, 8))
    function = graph(layer, (None, 5, 8), dtype)
    assert "FusedBatchNormV3" not in graphs.operations(function)
    assert function(tf.ones((2, 5, 8), dtype)).shape == (2, 5, 8)


def test_decomposed_layer_norm__avoids_fused_batch_norm(rng):
    ours, keras_norm = pair((2, 5, 8), rng)
    inputs = tf.constant(rng.normal(size=(2, 5, 8)), tf.float32)
    assert "FusedBatchNormV3" in graphs.operations(graph(ours, (None, 5, 8)))
    with decomposed_layer_norm():
        assert "FusedBatchNormV3" not in graphs.operations(graph(ours, (None, 5, 8)))
        np.testing.assert_allclose(ours(inputs), keras_norm(inputs), atol=1e-5)
    assert "FusedBatchNormV3" in graphs.operations(graph(ours, (None, 5, 8)))


@graphs.needs_onednn
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("batch", [2, None])
def test_layer_norm__is_one_onednn_operation(batch, policy, rng):
    if policy == "mixed_bfloat16" and not has_bfloat16():
        pytest.skip("this CPU has no bfloat16")
    ours, _ = pair((2, 5, 8), rng, dtype=policy)
    inputs = tf.cast(rng.normal(size=(2, 5, 8)), ours.compute_dtype)
    function = graph(ours, (batch, 5, 8), ours.compute_dtype)
    found = graphs.executed(function, inputs)
    assert "_MklLayerNorm" in found
    assert not found & {"Mul", "AddV2", "_MklNativeFusedBatchNormV3", "Rsqrt"}


OPTIONS = [
    {"center": False},
    {"scale": False},
    {"center": False, "scale": False},
    {"axis": 1},
    {"axis": [-1]},
    {"axis": (-1, 1), "center": False},
    {"axis": (2, 1), "scale": False},
    {"dtype": "mixed_bfloat16", "scale": False},
    {"dtype": "float64", "center": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_layer_norm__options_equal_keras_in_every_form(options, rng):
    """Eager, traced, decomposed and in training, with the gradients."""
    ours, keras_norm = pair((2, 5, 8), rng, **options)
    inputs = tf.cast(rng.normal(3, 2, (2, 5, 8)), ours.compute_dtype)
    weights = tf.cast(rng.normal(size=inputs.shape), inputs.dtype)

    def gradients(layer, **arguments):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, **arguments)
            loss = tf.reduce_sum(outputs * weights)
        variables = [weight.value for weight in layer.trainable_weights]
        return [outputs, *tape.gradient(loss, [inputs, *variables])]

    expected = gradients(keras_norm)
    found = [gradients(ours), gradients(ours, training=True)]
    with decomposed_layer_norm():
        found.append(gradients(ours))
    function = graph(ours, (None, 5, 8), inputs.dtype)
    found.append([function(inputs), *expected[1:]])
    atol = 0.1 if inputs.dtype == "bfloat16" else 1e-4
    if inputs.dtype == "float64":
        atol = 1e-9
    for form in found:
        for value, keras_value in zip(form, expected, strict=True):
            assert value.dtype == keras_value.dtype
            np.testing.assert_allclose(
                tf.cast(value, "float64"), tf.cast(keras_value, "float64"), atol=atol
            )


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")
def test_layer_norm__rms_scaling_equals_keras_in_every_form(rng):
    ours, keras_norm = pair((2, 5, 8), rng, rms_scaling=True)
    inputs = tf.constant(rng.normal(3, 2, (2, 5, 8)), tf.float32)
    expected = keras_norm(inputs)
    np.testing.assert_array_equal(ours(inputs), expected)
    np.testing.assert_array_equal(ours(inputs, training=True), expected)
    with decomposed_layer_norm():
        np.testing.assert_array_equal(ours(inputs), expected)
    assert type(ours).from_config(ours.get_config()).rms_scaling


def test_layer_norm__config_keeps_every_argument(tmp_path):
    arguments = {
        "axis": [1, 2],
        "epsilon": 1e-3,
        "beta_initializer": keras.initializers.Constant(0.25),
        "gamma_initializer": keras.initializers.Constant(0.5),
        "beta_regularizer": keras.regularizers.L2(0.5),
        "gamma_regularizer": keras.regularizers.L1(0.25),
        "beta_constraint": keras.constraints.MaxNorm(3.0),
        "gamma_constraint": keras.constraints.NonNeg(),
    }
    model = keras.Sequential([keras.Input((5, 8)), LayerNorm(**arguments)])
    (layer,) = model.layers
    unbuilt = LayerNorm(**arguments, name=layer.name)
    assert unbuilt.get_config() == layer.get_config()
    model.save(tmp_path / "model.keras")
    (fresh,) = keras.saving.load_model(tmp_path / "model.keras").layers
    assert fresh.get_config() == layer.get_config()
    assert float(sum(fresh.losses)) == pytest.approx(0.5 * 40 / 16 + 0.25 * 40 / 2)
    again = LayerNorm.from_config(fresh.get_config())
    again.build((None, 5, 8))
    np.testing.assert_array_equal(again.gamma, np.full((5, 8), 0.5))
    np.testing.assert_array_equal(again.beta, np.full((5, 8), 0.25))


@pytest.mark.parametrize("training", [False, True])
def test_layer_norm__does_not_read_the_axis_that_build_changed(training, rng):
    """From Keras 3.16 on it is that of the rank that the layer is built with."""
    layer = LayerNorm()
    layer.build((None, 8))
    layer.axis = [1]
    inputs = tf.constant(rng.normal(3, 2, (2, 4, 7, 8)), tf.float32)
    expected = keras.layers.LayerNormalization(epsilon=1e-5)(inputs)
    found = layer(inputs, training=training)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with decomposed_layer_norm():
        np.testing.assert_allclose(layer(inputs), expected, atol=1e-5)
    assert layer.get_config()["axis"] == -1


@pytest.mark.parametrize(
    "build", [build_tnt, lambda: build_tnt(se_ratio=0.25), build_pyramid_tnt]
)
def test_layer_norm__built_with_the_rank_of_its_calls(build, monkeypatch):
    """Keras 3.16 makes the axis -1 absolute when a layer norm is built."""
    called = []

    def checked_call(self, inputs, training=None, original=LayerNorm.call):
        called.append(self.path)
        assert len(inputs.shape) == len(self.get_build_config()["input_shape"])
        return original(self, inputs, training=training)

    monkeypatch.setattr(LayerNorm, "call", checked_call)
    model = build()
    model(pixels(model, 1))
    assert len(set(called)) > 10
