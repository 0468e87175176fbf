"""The core on any backend of Keras, with or without TensorFlow.

`make test-jax` runs these tests on JAX and `make test-torch` on PyTorch, both without
TensorFlow; `make test-extra-large` runs them on TensorFlow.
"""

import importlib.util
import io
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import keras_tnt
from keras_tnt.cli import main
from keras_tnt.data import load_dataset
from keras_tnt.images import decode_image, rgb_to_gray
from keras_tnt.inference import Classifier, classify
from keras_tnt.tasks import segmenter
from keras_tnt.training import AdamW, MaskCrossentropy, fashion_mnist_demo, train
from keras_tnt.visualization import grad_cam, integrated_gradients
from keras_tnt.weights import convert_tnt
from keras_tnt.weights.transfer import to_upstream
from tests.helpers import ASSETS, reference
from tests.helpers.encoded import AS_PILLOW, PHOTO
from tests.helpers.small import pixels, small, small_pyramid

CASES = [
    "tnt_official",
    "tnt_official_rect",
    "tnt_official_qkv_bias_gray",
    "tnt_official_se",
    "tnt_timm",
    "pyramid_tnt",
    "pyramid_tnt_deep",
]
# On TensorFlow, the tests of each part show the same.
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
pytestmark = pytest.mark.extra_large if ON_TENSORFLOW else pytest.mark.slow
WITH_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
without_tensorflow = pytest.mark.skipif(
    WITH_TENSORFLOW, reason="TensorFlow is installed"
)


def as_array(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("case", CASES)
def test_models__equal_reference(case):
    logits = reference.build(case).predict_on_batch(reference.images(case))
    expected = reference.tensors(case)["logits"]
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("case", ["tnt_official", "tnt_official_se"])
def test_models__equal_reference_gradients(case):
    """A step of gradient descent at rate 1 subtracts the gradient."""
    model = reference.build(case)
    before = to_upstream(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0), loss)
    labels = np.array(reference.CASES[case]["labels"])
    found = model.train_on_batch(reference.images(case), labels)
    np.testing.assert_allclose(found, reference.tensors(case)["loss"][0], atol=1e-5)
    after = to_upstream(model)
    stored = reference.tensors(case, "grad.")
    stored.pop("outer_tokens", None)
    stored = convert_tnt.standard_names(stored)
    assert len(stored) > 50
    for name, expected in stored.items():
        error = np.linalg.norm(before[name] - after[name] - expected)
        assert error <= 1e-3 * np.linalg.norm(expected) + 1e-5, name


def test_adamw__equals_six_official_steps():
    case = "tnt_training_curve"
    expected = reference.tensors(case)
    model = reference.build(case)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(AdamW(1e-3, weight_decay=0.05, epsilon=1e-8), loss)
    labels = as_array(keras.ops.one_hot(expected["labels"], 7))
    history = model.fit(
        reference.images(case), labels, batch_size=8, epochs=6, verbose=0, shuffle=False
    )
    np.testing.assert_allclose(history.history["loss"], expected["losses"], atol=1e-4)
    for name, value in to_upstream(model).items():
        np.testing.assert_allclose(value, expected[f"final.{name}"], atol=2e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"drop_path_rate": 0.2, "dropout_rate": 0.2},
        {"remat": True},
        {"dtype": "mixed_bfloat16"},
    ],
    ids=["dropout", "remat", "mixed_bfloat16"],
)
def test_fit__lowers_the_loss(options):
    model = small(depth=1, **options)
    images = pixels(model, 6)
    model.compile(AdamW(1e-3, layer_decay=0.9), "sparse_categorical_crossentropy")
    history = model.fit(
        images, np.arange(6), batch_size=6, epochs=8, verbose=0, shuffle=False
    )
    losses = history.history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_load_model__of_a_backend(backend):
    """The files were saved with that backend."""
    model = keras.saving.load_model(ASSETS / "backends" / f"{backend}.keras")
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    expected = load_file(ASSETS / "backends" / "outputs.safetensors")["outputs"]
    np.testing.assert_allclose(model.predict_on_batch(images), expected, atol=1e-6)


@pytest.mark.parametrize("build", [small, small_pyramid])
def test_weights__every_format(build, tmp_path):
    model = build()
    images = pixels(model, 2)
    expected = model.predict_on_batch(images)
    keras_tnt.save_upstream_weights(model, tmp_path / "a.safetensors")
    model.save(tmp_path / "a.keras")
    model.save_weights(tmp_path / "a.weights.h5")
    for name in ("a.safetensors", "a.keras", "a.weights.h5"):
        other = keras.models.clone_model(model)
        keras_tnt.load_weights(other, tmp_path / name)
        np.testing.assert_array_equal(other.predict_on_batch(images), expected)


@pytest.mark.parametrize("build", [small, small_pyramid])
def test_any_size__equals_models_of_two_sizes(build, tmp_path):
    native = build()
    native.save(tmp_path / "a.keras")
    size = native.input_shape[1:3]
    model = build(input_shape=(None, None, 3), native_image_size=size)
    other = build(input_shape=(96, 64, 3))
    keras_tnt.load_weights(other, tmp_path / "a.keras")
    for static in (native, other):
        images = pixels(static, 2)
        expected = static.predict_on_batch(images)
        np.testing.assert_allclose(model.predict_on_batch(images), expected, atol=1e-5)
    with pytest.raises(ValueError, match="to max_image_size=1024, got 64x1025"):
        model(np.zeros((1, 64, 1025, 3), "float32"))


def test_any_size__trains_on_two_sizes():
    model = small(depth=1, input_shape=(None, None, 3), native_image_size=32)
    model.compile("sgd", "sparse_categorical_crossentropy")
    for size in ((32, 48), (47, 32)):
        images = np.zeros((2, *size, 3), "float32")
        assert np.isfinite(model.train_on_batch(images, np.array([0, 1])))


@pytest.mark.filterwarnings(
    "ignore:(Layer .* does not have a|.model.quantize):UserWarning"
)
def test_quantize__saved_and_loaded(tmp_path):
    model = small(depth=1)
    model.quantize("int8")
    model.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    images = pixels(model, 2)
    found, expected = (each.predict_on_batch(images) for each in (loaded, model))
    np.testing.assert_array_equal(found, expected)


def test_enable_lora__trained_saved_and_merged(tmp_path):
    model = small(depth=1)
    keras_tnt.enable_lora(model, 2)
    images, labels = pixels(model, 2), np.array([0, 1])
    before = model.predict_on_batch(images)
    model.compile(AdamW(0.01), "sparse_categorical_crossentropy")
    model.fit(images, labels, epochs=2, verbose=0)
    expected = model.predict_on_batch(images)
    assert np.abs(expected - before).max() > 1e-3
    model.save(tmp_path / "lora.keras")
    loaded = keras.saving.load_model(tmp_path / "lora.keras")
    np.testing.assert_array_equal(loaded.predict_on_batch(images), expected)
    merged = keras_tnt.merge_lora(model)
    assert merged.count_params() < model.count_params()
    np.testing.assert_allclose(merged.predict_on_batch(images), expected, atol=1e-5)


@pytest.mark.parametrize("build", [small, small_pyramid])
def test_explanations__features_and_attention(build):
    model = build()
    images = pixels(model, 2)
    weights = keras_tnt.attention_maps(model, images).outer
    assert weights
    for each in weights.values():
        np.testing.assert_allclose(np.sum(each, axis=-1), 1, atol=1e-5)
    features = keras_tnt.feature_extractor(model, 1).predict_on_batch(images)
    assert np.isfinite(keras.tree.flatten(features)[0]).all()


def test_saliency__sums_and_highest():
    model = small(depth=1)
    images = pixels(model, 2)
    assert grad_cam(model, images).max() == 1
    shares = integrated_gradients(model, images, classes=2, steps=24)
    scores = keras.models.clone_model(model, clone_function=without_softmax)
    scores.set_weights(model.get_weights())
    first, last = (scores.predict_on_batch(each) for each in (0 * images, images))
    difference = (last - first)[:, 2]
    np.testing.assert_allclose(shares.sum(axis=(1, 2, 3)), difference, rtol=0.02)


def without_softmax(layer):
    config = layer.get_config()
    if layer.name == "predictions":
        config["activation"] = "linear"
    return type(layer).from_config(config)


@pytest.mark.parametrize("name", ["landscape", "portrait", "small"])
def test_preprocess_input__equal_to_published(name):
    expected = load_file(ASSETS / "preprocess_eval.safetensors")[name]
    photo = keras_tnt.load_image(ASSETS / f"astronaut_{name}.png")
    image = np.asarray(keras_tnt.preprocess_input(photo))
    assert image.dtype == "float32"
    difference = np.abs(image - (expected * 0.5 + 0.5) * 255)
    assert difference.mean() <= 0.1
    assert difference.max() <= 2


def test_preprocess_input__batches_lists_and_errors():
    images = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), "uint8")
    batch = np.asarray(keras_tnt.preprocess_input(images, (16, 24)))
    single = np.asarray(keras_tnt.preprocess_input(list(images), (16, 24)))
    np.testing.assert_array_equal(batch, single)
    assert batch.shape == (2, 16, 24, 3)
    scaled = np.asarray(keras_tnt.preprocess_input(images / 255, (16, 24), scale=255))
    np.testing.assert_allclose(scaled, batch, atol=1)
    for wrong, message in (
        (images / 255, "scaled to 0-1"),
        (images * 2.0, "from 0 to 255"),
        (images[0, 0], "got shape"),
        ([], "one or more images"),
    ):
        with pytest.raises(ValueError, match=message):
            keras_tnt.preprocess_input(wrong)


@pytest.mark.parametrize("kind", AS_PILLOW)
def test_decode_image__equals_pillow(kind):
    image = np.asarray(decode_image(AS_PILLOW[kind]))
    expected = np.asarray(Image.open(io.BytesIO(AS_PILLOW[kind])).convert("RGB"))
    difference = np.abs(image.astype(int) - expected)
    assert image.dtype == "uint8"
    assert difference.max() <= (4 if kind.startswith(("jpeg", "webp")) else 0)


def test_load_image__upright(tmp_path):
    (tmp_path / "a.jpg").write_bytes(AS_PILLOW["jpeg with orientation"])
    upright = np.asarray(keras_tnt.load_image(tmp_path / "a.jpg"))
    stored = np.asarray(keras_tnt.load_image(tmp_path / "a.jpg", False))
    np.testing.assert_array_equal(upright, np.rot90(stored, -1))


@pytest.mark.parametrize(
    ("contents", "limits", "message"),
    [
        (b"", {}, "is empty"),
        (b"<!DOCTYPE html>", {}, "no known format"),
        (AS_PILLOW["png"][:200], {}, "starts like a PNG but is damaged"),
        (AS_PILLOW["jpeg"][:700], {}, "starts like a JPEG but is damaged"),
        (AS_PILLOW["bmp"], {"max_pixels": 99}, "larger than 99 pixels: 61 x 50"),
        (AS_PILLOW["jpeg progressive"], {"max_scans": 3}, "too many scans"),
    ],
)
def test_load_image__refused(contents, limits, message, tmp_path):
    (tmp_path / "a.jpg").write_bytes(contents)
    with pytest.raises(ValueError, match=rf"a\.jpg' cannot be decoded: it .*{message}"):
        keras_tnt.load_image(tmp_path / "a.jpg", **limits)


def test_rgb_to_gray__equals_pillow():
    gray = np.asarray(rgb_to_gray(np.asarray(PHOTO)))
    np.testing.assert_array_equal(gray[..., 0], np.asarray(PHOTO.convert("L")))


def test_classify__best_class():
    model = small()
    images = pixels(model, 3)
    names = [str(i) for i in range(7)]
    found = classify(Classifier(model, names, 0.9), images, top=1)
    expected = np.argmax(model.predict_on_batch(images), axis=-1)
    assert [best[0][0] for best in found] == [str(i) for i in expected]


def test_predict_command__keras_file(tmp_path, capsys):
    small().save(tmp_path / "a.keras")
    photo = ASSETS / "astronaut_small.png"
    assert not main(["predict", str(photo), "--model", str(tmp_path / "a.keras")])
    assert "%" in capsys.readouterr().out


@without_tensorflow
def test_tensorflow__is_not_imported():
    assert not [name for name in sys.modules if name.startswith("tensorflow")]


@without_tensorflow
@pytest.mark.parametrize(
    "call",
    [
        lambda path: keras_tnt.export_saved_model(small(depth=1), path / "saved"),
        lambda path: train(fashion_mnist_demo(), path / "run"),
        lambda path: load_dataset("fashion_mnist_mini"),
    ],
    ids=["export", "train", "data"],
)
def test_parts_that_need_tensorflow__say_so(call, tmp_path):
    with pytest.raises(
        ImportError, match=r"TensorFlow.*pip install|tensorflow_dataset"
    ):
        call(tmp_path)


@pytest.mark.parametrize("head", ["upernet", "trans2seg"])
def test_segmenter__trains(head):
    model = segmenter(small(depth=1), 4, head, dim=32)
    images, masks = pixels(model, batch=2), np.zeros((2, 32, 48), "int32")
    masks[:, :5] = -1
    model.compile("sgd", MaskCrossentropy())
    first, *_, last = (float(model.train_on_batch(images, masks)) for _ in range(4))
    assert last < first
    logits = as_array(model.predict_on_batch(images))
    assert logits.shape == (2, 32, 48, 4)
    assert np.isfinite(logits).all()
