"""Models on images of any size."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt.layers import fused_ops
from keras_tnt.layers.layer_norm import decomposed_layer_norm
from keras_tnt.models.image_size import at_image_size
from keras_tnt.training import AdamW
from keras_tnt.visualization import grad_cam
from keras_tnt.weights.resample import resample_patch_positions
from tests.helpers.graphs import traced
from tests.helpers.small import (
    build_pyramid_tnt,
    build_tnt,
    small,
    small_pyramid,
)

NATIVE = (64, 96)
SIZES = [NATIVE, (96, 160)]
BUILDERS = {"tnt": small, "pyramid": small_pyramid}
each_kind = pytest.mark.parametrize(
    "kind", ["tnt", pytest.param("pyramid", marks=pytest.mark.slow)]
)
PATCH_SIZES = {"tnt": 16, "pyramid": 8}
# Operations in the static models' graphs before there were others.
BEFORE = {
    "tnt": {"infer": 621, "decomposed": 504, "train": 1809},
    "pyramid": {"infer": 1836, "decomposed": 1519, "train": 5818},
}


def small_at(kind, size, **arguments):
    arguments = {"depth": 1} | arguments if kind == "tnt" else arguments
    return BUILDERS[kind](input_shape=(*size, 3), **arguments)


def any_size(kind, **arguments):
    return small_at(kind, (None, None), native_image_size=NATIVE, **arguments)


def noise(*size, batch=2):
    images = np.random.default_rng(0).uniform(0, 255, (batch, *size, 3))
    return images.astype("float32")


@pytest.mark.slow
@each_kind
def test_any_size__equals_models_of_each_size(kind, tmp_path):
    model = any_size(kind)
    native = small_at(kind, NATIVE)
    native.save(tmp_path / "native.keras")
    names = [(weight.path, weight.shape) for weight in model.weights]
    assert names == [(weight.path, weight.shape) for weight in native.weights]
    graph = traced(model, (None, None, None, 3))
    for size in SIZES:
        static = native if size == NATIVE else small_at(kind, size)
        if static is not native:
            keras_tnt.load_weights(static, tmp_path / "native.keras")
        images = noise(*size)
        expected = static(images)
        tolerance = 1e-6 if size == NATIVE else 1e-5
        for run in (model, graph):
            np.testing.assert_allclose(run(images), expected, rtol=0, atol=tolerance)
        found = model.predict(images, verbose=0)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["tnt", pytest.param("pyramid", marks=pytest.mark.extra_large)]
)
def test_any_size__xla(kind):
    """Without assertions, too."""
    model = any_size(kind, max_image_size=128)
    compiled = traced(model, (None, None, None, 3), jit_compile=True)
    for size in (NATIVE, (70, 50)):
        images = noise(*size)
        np.testing.assert_allclose(compiled(images), model(images), atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError):
        compiled(noise(64, 129))


@each_kind
def test_any_size__pads_after_rescaling(kind):
    model = any_size(kind)
    images = noise(70, 50)
    patch = PATCH_SIZES[kind]
    padded = np.full((2, -(-70 // patch) * patch, -(-50 // patch) * patch, 3), 127.5)
    padded[:, :70, :50] = images
    expected = model(padded)
    assert np.abs(expected - model(np.maximum(padded, 130))).max() > 1e-3
    np.testing.assert_allclose(model(images), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-6)


@each_kind
@pytest.mark.parametrize(
    ("pad_images", "size", "message"),
    [
        (False, (64, 60), "multiples of (8|16) from (16|32) to max_image_size=128"),
        (True, (64, 129), "from (1|25) to max_image_size=128"),
    ],
)
def test_any_size__refuses(kind, pad_images, size, message):
    model = any_size(kind, pad_images=pad_images, max_image_size=128)
    images = noise(*size)
    with pytest.raises(ValueError, match=message):
        model(images)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        traced(model, (None, None, None, 3))(images)
    assert model(noise(64, 128)).shape == (2, 7)


def test_any_size__pyramid_refuses_less_than_its_pooling_needs():
    model = any_size("pyramid")
    with pytest.raises(ValueError, match="from 25 to max_image_size=1024, got 24x64"):
        model(noise(24, 64))
    assert model(noise(25, 64)).shape == (2, 7)


@each_kind
def test_any_size__one_open_side(kind):
    model = small_at(kind, (None, 96), native_image_size=NATIVE)
    model.set_weights(any_size(kind).get_weights())
    images = noise(128, 96)
    assert model.input_shape == (None, None, 96, 3)
    expected = any_size(kind)(images)
    np.testing.assert_allclose(model(images), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"max_image_size=80, got Nonex96"):
        small_at(kind, (None, 96), native_image_size=64, max_image_size=80)


def batches():
    for size in ((64, 96), (90, 60)):  # padded to as many patches, to compile once
        yield noise(*size), np.array([0, 1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("tnt", {}),
        ("tnt", {"remat": True, "dtype": "mixed_bfloat16"}),
        ("pyramid", {}),
        pytest.param("pyramid", {"remat": True}, marks=pytest.mark.extra_large),
    ],
)
def test_any_size__fit_lowers_the_loss(kind, options):
    model = any_size(
        kind,
        dropout_rate=0.1,
        attention_dropout_rate=0.1,
        drop_path_rate=0.1,
        **options,
    )
    spec = tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None,), tf.int64)
    data = tf.data.Dataset.from_generator(batches, output_signature=spec).repeat()
    model.compile(AdamW(3e-3), "sparse_categorical_crossentropy", jit_compile=False)
    history = model.fit(data, steps_per_epoch=2, epochs=5, verbose=0, shuffle=False)
    history = history.history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < history[0]


def test_any_size__gradient_of_positions_is_that_of_resampling():
    """The step at another size moves the positions as load-time resampling would."""
    model = any_size("tnt", include_preprocessing=False)
    static = small_at("tnt", (96, 64), include_preprocessing=False)
    tokens = model.get_layer("patch_embedding").position_embedding
    own = static.get_layer("patch_embedding").position_embedding
    for weight, other in zip(static.weights, model.weights, strict=True):
        if other is not tokens:
            weight.assign(other)
    own.assign(resample_patch_positions(tokens.numpy(), (4, 6), (6, 4)))
    images = np.random.default_rng(0).normal(size=(2, 96, 64, 3)).astype("float32")

    def gradient(network, weight):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(images)[:, 0])
        return tf.convert_to_tensor(tape.gradient(loss, weight.value))[0].numpy()

    upstream = gradient(static, own)
    units = np.zeros((25, 25, 1), "float32")
    units[range(25), range(25), 0] = 1
    rows = [resample_patch_positions(unit[None], (4, 6), (6, 4)) for unit in units]
    expected = np.stack(rows)[:, 0, :, 0] @ upstream
    found = gradient(model, tokens)
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_any_size__training_shares_compiled_functions():
    """Rows are padded to few numbers, whatever the sizes of the images."""
    with fused_ops.parts_per_image(tf.constant(6)):
        assert fused_ops.rows_per_image((None, 16, 12)) == 1
    assert fused_ops.rows_per_image((None, None, 12)) == 1
    with fused_ops.parts_per_image(6):
        assert fused_ops.rows_per_image((None, 16, 12)) == 96


@each_kind
def test_any_size__files(kind, tmp_path):
    model = any_size(kind)
    images = noise(70, 50)
    expected = model(images)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded(images), expected)
    stem = "pixel_embedding" if kind == "tnt" else "stem"
    config = reloaded.get_layer(stem).get_config()
    assert config == model.get_layer(stem).get_config()
    static = small_at(kind, (96, 64))
    keras_tnt.load_weights(static, tmp_path / "model.keras")
    images = noise(96, 64)
    np.testing.assert_allclose(static(images), model(images), atol=1e-5)


@each_kind
@pytest.mark.parametrize("name", ["a.safetensors", "a.keras", "a.weights.h5"])
def test_any_size__loads_weights_of_its_native_size(kind, name, tmp_path):
    native = small_at(kind, NATIVE)
    if name == "a.safetensors":
        keras_tnt.save_upstream_weights(native, tmp_path / name)
    else:
        (native.save if name == "a.keras" else native.save_weights)(tmp_path / name)
    arguments = {"depth": 1} if kind == "tnt" else {}
    model = (build_tnt if kind == "tnt" else build_pyramid_tnt)(
        input_shape=(None, None, 3), native_image_size=NATIVE, **arguments
    )
    keras_tnt.load_weights(model, tmp_path / name)
    images = noise(*NATIVE)
    np.testing.assert_allclose(model(images), native(images), rtol=0, atol=1e-6)


@each_kind
def test_any_size__upstream_file_of_another_size(kind, tmp_path):
    keras_tnt.save_upstream_weights(
        small_at(kind, (96, 64)), tmp_path / "a.safetensors"
    )
    expected, model, again = small_at(kind, NATIVE), any_size(kind), any_size(kind)
    for network in (expected, model):
        keras_tnt.load_weights(network, tmp_path / "a.safetensors")
    keras_tnt.save_upstream_weights(model, tmp_path / "b.safetensors")
    keras_tnt.load_weights(again, tmp_path / "b.safetensors")
    for network in (model, again):
        for weight, value in zip(network.weights, expected.weights, strict=True):
            np.testing.assert_array_equal(weight, value)


@each_kind
def test_any_size__without_top(kind):
    static = small_at(kind, (96, 64), include_top=False)
    model = any_size(kind, include_top=False)
    images = noise(96, 64)
    dim = model.output_shape[-1]
    assert model.output_shape == (None, None, None, dim)
    assert model(images).shape == static(images).shape
    assert model.predict(noise(70, 50), verbose=0).shape[1:3] == (
        (5, 4) if kind == "tnt" else (2, 1)
    )
    for pooling in ("avg", "max", *(["token"] if kind == "tnt" else [])):
        pooled = any_size(kind, include_top=False, pooling=pooling)
        assert pooled.output_shape == (None, dim)
        maps = np.asarray(model(images))
        if pooling != "token":
            reduced = getattr(maps, {"avg": "mean"}.get(pooling, pooling))((1, 2))
            np.testing.assert_allclose(pooled(images), reduced, atol=1e-5)


@each_kind
def test_any_size__features_and_attention(kind):
    model = any_size(kind)
    fixed = at_image_size(model, (96, 64))
    images = noise(96, 64)
    expected = keras_tnt.feature_extractor(fixed, 1, class_token=kind == "tnt")(images)
    features = keras_tnt.feature_extractor(model, 1, class_token=kind == "tnt")
    found = features.predict(images, verbose=0)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4)
    maps, others = (keras_tnt.attention_maps(m, images) for m in (model, fixed))
    assert maps.grids == others.grids
    np.testing.assert_allclose(maps.outer[1], others.outer[1], atol=1e-5)


@each_kind
def test_any_size__what_needs_a_fixed_size(kind):
    model = any_size(kind)
    assert keras_tnt.model_info(model).image_size == NATIVE
    for function in (keras_tnt.complexity, lambda m: grad_cam(m, noise(64, 96))):
        with pytest.raises(ValueError, match="Build it with a fixed input_shape"):
            function(model)
    fixed = at_image_size(model, NATIVE)
    np.testing.assert_allclose(fixed(noise(*NATIVE)), model(noise(*NATIVE)), atol=1e-6)
    assert keras_tnt.complexity(fixed).multiply_adds > 0


@pytest.mark.filterwarnings(
    "ignore:(Layer .* does not have a|.model.quantize):UserWarning"
)
def test_any_size__quantized():
    model = any_size("tnt")
    images = noise(70, 50)
    expected = model(images)
    model.quantize("int8")
    assert any(weight.dtype == "int8" for weight in model.weights)
    np.testing.assert_allclose(model(images), expected, atol=0.1)


@pytest.mark.parametrize("dtype", ["mixed_float16", "float16"])
def test_any_size__positions_are_resampled_in_float32(dtype):
    images = noise(96, 64)
    expected = any_size("tnt")(images)
    np.testing.assert_allclose(
        any_size("tnt", dtype=dtype)(images), expected, atol=0.02
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (64, 64, 3), "max_image_size": 512}, "for images of any size"),
        ({"native_image_size": 100}, "multiples of (8|16), got 100x100"),
        ({"native_image_size": 1280}, "max_image_size=1024, got 1280x1280"),
        ({"native_image_size": "large"}, "native_image_size must be a whole number"),
        ({"max_image_size": 0}, "max_image_size must be at least 1"),
        ({"input_shape": (None, None, None)}, "fixed number of channels"),
    ],
)
@pytest.mark.parametrize("build", [build_tnt, build_pyramid_tnt])
def test_any_size__bad_arguments(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**({"input_shape": (None, None, 3)} | arguments))


def test_any_size__native_sizes_of_the_published_models():
    shape = (None, None, 3)
    tnt = keras_tnt.TNTTiny(input_shape=shape)
    assert tnt.get_layer("patch_embedding").position_embedding.shape == (1, 197, 192)
    tiny = keras_tnt.PyramidTNTTiny(input_shape=shape)
    assert tiny.get_layer("stem").native_image_size == (192, 192)
    stage = tiny.get_layer("stage_1")
    assert stage.position_bias.shape == (1, 2, 24 * 24, 6 * 6)


@each_kind
def test_static_model__graph_is_as_before(kind):
    """Not one operation more, and none that only other sizes need."""
    build = {
        "tnt": lambda: build_tnt(
            se_ratio=0.25, inner_blocks=(1,), drop_path_rate=0.1, dropout_rate=0.1
        ),
        "pyramid": lambda: build_pyramid_tnt(
            input_shape=(40, 72, 3), se_ratio=0.25, dropout_rate=0.1
        ),
    }[kind]
    model = build()

    def infer(images):
        return model(images, training=False)

    def decomposed(images):
        with decomposed_layer_norm():
            return infer(images)

    def train(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images, training=True))
        return tape.gradient(loss, [v.value for v in model.trainable_variables])

    for function in (infer, decomposed, train):
        graph = traced(function, (None, *model.input_shape[1:]))
        found = graph.get_concrete_function().graph.get_operations()
        assert len(found) <= BEFORE[kind][function.__name__]
        types = {node.type for node in found}
        assert function is train or not {"Assert", "Range"} & types
