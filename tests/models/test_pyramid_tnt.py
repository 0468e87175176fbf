"""The PyramidTNT builders: sizes, arguments, and the shared checks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_tnt
from keras_tnt.layers import PyramidTNTBlock
from keras_tnt.layers.dropout import Dropout
from keras_tnt.weights.transfer import assign_upstream, to_upstream
from tests.helpers.checks import check_model, trainable_parameters, two_replicas
from tests.helpers.small import build_pyramid_tnt, pixels, small_pyramid


@pytest.mark.slow
def test_pyramid_tnt__passes_the_checks(tmp_path):
    check_model(build_pyramid_tnt, 246_139, tmp_path)


@pytest.mark.parametrize(
    ("builder", "size", "parameters", "gmacs"),
    [
        (keras_tnt.PyramidTNTTiny, 192, 10_578_529, 0.6),
        pytest.param(
            keras_tnt.PyramidTNTSmall, 256, 31_953_200, 3.3, marks=pytest.mark.slow
        ),
        pytest.param(
            keras_tnt.PyramidTNTMedium, 256, 84_943_572, 8.2, marks=pytest.mark.slow
        ),
        pytest.param(
            keras_tnt.PyramidTNTBase, 256, 156_990_072, 16.0, marks=pytest.mark.slow
        ),
    ],
)
def test_variants__published_sizes(builder, size, parameters, gmacs):
    model = builder(weights=None)
    assert trainable_parameters(model) == parameters
    found = keras_tnt.complexity(model)
    assert found.parameters == parameters
    assert found.multiply_adds == pytest.approx(gmacs * 1e9, abs=0.05e9)
    assert model.input_shape == (None, size, size, 3)
    assert model.output_shape == (None, 1000)
    for stage in range(1, 5):
        _, patches = model.get_layer(f"stage_{stage}").output
        side = size // 4 // 2**stage
        assert patches.shape[1:3] == (side, side)


@settings(max_examples=4, deadline=None)
@given(rows=st.integers(4, 12), columns=st.integers(4, 12))
def test_pyramid_tnt__any_image_of_whole_patches(rows, columns):
    shape = (8 * rows, 8 * columns, 3)
    model = small_pyramid(input_shape=shape, include_top=False)
    expected = (2, -(-rows // 8), -(-columns // 8), 64)
    assert model(np.ones((2, *shape))).shape == expected
    for stage in range(1, 5):
        inner, patches = model.get_layer(f"stage_{stage}").output
        grid = (-(-rows // 2 ** (stage - 1)), -(-columns // 2 ** (stage - 1)))
        assert patches.shape[1:3] == inner.shape[1:3] == grid


def test_pyramid_tnt__features_follow_final_norm():
    model = small_pyramid(include_top=False)
    images = pixels(model)
    _, patches = keras.Model(model.input, model.get_layer("stage_4").output)(images)
    expected = model.get_layer("norm")(patches).numpy()
    np.testing.assert_allclose(model(images), expected, atol=1e-5)
    for pooling, reduce in (("avg", np.mean), ("max", np.max)):
        pooled = small_pyramid(include_top=False, pooling=pooling)
        found = pooled(images)
        np.testing.assert_allclose(found, reduce(expected, axis=(1, 2)), atol=1e-5)


def test_pyramid_tnt__inner_transformers_in_first_blocks():
    model = small_pyramid(depths=(1, 7, 6, 1))
    inner = [
        [isinstance(block, PyramidTNTBlock) for block in stage.blocks]
        for stage in (model.get_layer(f"stage_{stage}") for stage in range(1, 5))
    ]
    assert inner == [[True], [True] * 2 + [False] * 5, [True] + [False] * 5, [True]]


def test_pyramid_tnt__drop_path_grows_over_all_stages():
    model = small_pyramid(depths=(2, 1, 1, 2), drop_path_rate=0.5)
    rates = [
        model.get_layer(f"stage_{stage}").drop_path_rates for stage in (1, 2, 3, 4)
    ]
    assert [len(stage) for stage in rates] == [2, 1, 1, 2]
    np.testing.assert_allclose(np.concatenate(rates), [0, 0.1, 0.2, 0.3, 0.4, 0.5])
    block = model.get_layer("stage_4").blocks[1]
    assert block.feed_forward_drop_path.rate == 0.5


def test_pyramid_tnt__initial_values_equal_official():
    model = keras_tnt.PyramidTNTTiny(weights=None, include_top=False)
    for weight in model.weights:
        value = weight.numpy()
        if weight.name == "kernel" and value.ndim == 4:
            expected = (2 / (9 * value.shape[-1])) ** 0.5
            assert abs(value.std() / expected - 1) < 0.25, weight.path
        elif weight.name == "position_bias":
            assert abs(value.std() - 1) < 0.1, weight.path
        elif weight.name == "kernel" or "position_embedding" in weight.name:
            assert abs(value.std() / 0.02 - 1) < 0.3, weight.path
        else:
            ones = weight.name in ("gamma", "moving_variance")
            assert np.all(value == ones), weight.path


def test_pyramid_tnt__batch_norms_equal_official():
    model = small_pyramid()
    convolution, norm = model.get_layer("stem").common_steps
    images = np.random.default_rng(2).normal(size=(4, 64, 96, 3)).astype("float32")
    before = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    model.get_layer("stem")(images, training=True)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    found = convolution(padded).numpy()
    for old, statistic, new in zip(
        before,
        (found.mean(axis=(0, 1, 2)), found.var(axis=(0, 1, 2))),
        (norm.moving_mean, norm.moving_variance),
        strict=True,
    ):
        np.testing.assert_allclose(new, 0.9 * old + 0.1 * statistic, rtol=1e-4)
    assert norm.epsilon == 1e-5


def test_pyramid_tnt__every_weight_gets_a_gradient():
    model = small_pyramid(input_shape=(128, 128, 3), dropout_rate=0.1)
    images = tf.constant(pixels(model, batch=4))
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = keras.losses.sparse_categorical_crossentropy(np.arange(4), outputs)
    variables = [weight.value for weight in model.trainable_weights]
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(loss, variables), strict=True
    ):
        assert gradient is not None, weight.path
        assert np.abs(gradient).max() > 0, weight.path


@pytest.mark.slow
def test_pyramid_tnt__fits_on_two_replicas():
    with two_replicas().scope():
        model = small_pyramid(drop_path_rate=0.1)
        model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    _, norm = model.get_layer("stem").common_steps
    before = norm.moving_mean.numpy()
    history = model.fit(pixels(model, 4), np.arange(4), batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert np.any(norm.moving_mean.numpy() != before)


def test_pyramid_tnt__preprocessing_scales_images():
    scaled = small_pyramid(include_preprocessing=False)
    model = small_pyramid()
    images = pixels(model)
    expected = scaled(images / np.float32(127.5) - 1)
    np.testing.assert_allclose(model(images), expected, atol=1e-5)


def test_pyramid_tnt__input_tensor_extends_its_graph():
    images = keras.Input((128, 192, 3), name="large")
    half = keras.layers.AveragePooling2D(2)(images)
    model = small_pyramid(input_tensor=half, input_shape=None)
    assert model.inputs[0] is images
    assert model.output_shape == (None, 7)
    tensor = keras.Input((64, 64, 3))
    tiny = keras_tnt.PyramidTNTTiny(weights=None, input_tensor=tensor)
    assert tiny.input_shape == (None, 64, 64, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"outer_num_heads": 3}, "outer_dim=16 and outer_num_heads=3"),
        ({"inner_num_heads": 3}, "inner_dim=4 and inner_num_heads=3"),
        ({"depths": (1, 2, 3)}, r"depths must be 4 numbers .*got \(1, 2, 3\)"),
        ({"depths": (1, 0, 1, 1)}, r"of at least 1, got \(1, 0, 1, 1\)"),
        ({"pooling": "token"}, "pooling must be one of .*, got 'token'"),
        ({"input_shape": (60, 64, 3)}, "multiples of 8, got 60x64"),
        ({"input_shape": (64, 24, 3)}, r"at least 32x32, got \(64, 24\)"),
        ({"input_shape": (64, 64, None)}, "static size"),
        ({"weights": "imagenet"}, "such as keras_tnt.PyramidTNTSmall"),
        ({"weights": "nowhere.safetensors"}, "no weight file 'nowhere.safetensors'"),
        ({"drop_path_rate": -0.5}, "between 0 and 1"),
    ],
)
def test_pyramid_tnt__refuses_bad_arguments(arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        small_pyramid(**arguments)


def test_variants__imagenet_weights_need_manual_download():
    for builder in (keras_tnt.PyramidTNTTiny, keras_tnt.PyramidTNTBase):
        with pytest.raises(ValueError, match=r"https://.*password.*load_weights"):
            builder(weights="imagenet")


def test_pyramid_tnt__dropout_where_the_official_code_has_it():
    model = small_pyramid(
        dropout_rate=0.1, attention_dropout_rate=0.2, drop_path_rate=0.3
    )
    rates = {}
    for layer in model._flatten_layers():
        if isinstance(layer, Dropout):
            rates.setdefault(layer.name, set()).add(layer.rate)
    paths = rates.pop("attention_drop_path") | rates.pop("feed_forward_drop_path")
    assert max(paths) == pytest.approx(0.3)
    assert rates == {
        "dropout": {0.1},  # of the positions, and after the projections
        "attention_dropout": {0.2},
        "intermediate_dropout": {0.1},
        "output_dropout": {0.1},
    }


def test_pyramid_tnt__biases_and_excitation_have_official_names():
    model = small_pyramid(qkv_bias=True, se_ratio=0.25)
    tensors = to_upstream(model)
    block = "stages.1.blocks.0"
    dim = model.get_layer("stage_2").output[1].shape[-1]
    assert tensors[f"{block}.outer_attn.q.bias"].shape == (dim,)
    assert tensors[f"{block}.outer_attn.kv.bias"].shape == (2 * dim,)
    inner = tensors[f"{block}.inner_attn.q.bias"].shape[0]
    assert tensors[f"{block}.inner_attn.kv.bias"].shape == (2 * inner,)
    assert tensors[f"{block}.se_layer.fc.1.weight"].shape == (dim // 4, dim)
    rng = np.random.default_rng(0)
    expected = {name: rng.normal(size=t.shape) for name, t in tensors.items()}
    assign_upstream(model, expected)
    for name, value in to_upstream(model).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6, err_msg=name)
