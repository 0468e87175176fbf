"""What an answer hangs on, where that is known."""

import keras
import numpy as np
import pytest

import keras_tnt
from keras_tnt.visualization import grad_cam, integrated_gradients
from tests.helpers.small import BOTH, pixels, small, small_pyramid


def of_one_patch(patch, negative=False):
    """A model whose first class is a sum over one of six patches alone."""
    tnt = small(include_top=False)
    block = tnt.get_layer("block_2")
    for dense in (block.outer.attention.projection, block.fold_output_norm):
        for weight in dense.weights:  # the last block does not mix the patches
            weight.assign(0 * weight)
    flat = keras.layers.Flatten()(tnt.output)
    head = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(tnt.input, head(flat))
    kernel = np.zeros((6, 48, 2))
    kernel[patch, :, 0] = 0.3 * np.random.default_rng(0).normal(size=48)
    head.kernel.assign((-kernel if negative else kernel).reshape(-1, 2))
    return model


@pytest.mark.parametrize("patch", [0, 4])
def test_grad_cam__one_patch(patch):
    """The gradient speaks for the class with one sign of the head, not with both."""
    images = pixels(of_one_patch(patch), 4)
    spoke = np.zeros(4)
    for negative in (False, True):
        maps = grad_cam(of_one_patch(patch, negative), images, classes=0)
        assert (maps.shape, maps.dtype) == ((4, 2, 3), "float32")
        flat = maps.reshape(4, 6)
        assert np.all(np.delete(flat, patch, axis=1) == 0)
        spoke += flat[:, patch]
    np.testing.assert_array_equal(spoke, 1)


def test_grad_cam__by_hand():
    """Gradients as differences of the logits, patch by patch."""
    model = small(classifier_activation=None)
    images = pixels(model, 1)
    block = model.get_layer("block_2")
    before = keras.Model(model.input, block.input)(images)
    after = keras.Model(block.input, model.output)
    words, tokens = (np.array(value) for value in before)
    expected = np.zeros(6)
    step = 1e-3
    for patch in range(6):
        # The sum of gradient times value is the derivative along the value itself.
        ends = [tokens.copy(), tokens.copy()]
        ends[0][:, 1 + patch] *= 1 - step
        ends[1][:, 1 + patch] *= 1 + step
        low, high = (after([words, end])[0, 3] for end in ends)
        expected[patch] = max((high - low) / (2 * step), 0)
    expected /= expected.max()
    found = grad_cam(model, images, classes=3)
    np.testing.assert_allclose(found.ravel(), expected, atol=0.02)


@pytest.mark.slow
def test_grad_cam__without_softmax():
    """Its gradient would mix in the other classes."""
    images = pixels(small(), 2)
    logits = grad_cam(small(classifier_activation=None), images, classes=[1, 5])
    np.testing.assert_allclose(
        grad_cam(small(), images, classes=[1, 5]), logits, atol=1e-5
    )
    bare = small(classifier_activation=None)
    for layer in (keras.layers.Softmax(), keras.layers.Activation("softmax")):
        model = keras.Model(bare.input, layer(bare.output))
        np.testing.assert_allclose(
            grad_cam(model, images, classes=[1, 5]), logits, atol=1e-5
        )


@pytest.mark.parametrize("build", BOTH)
def test_grad_cam__nested_model(build):
    tnt = build(include_top=False, pooling="avg")
    images = pixels(tnt, 2)
    photos = keras.Input(tnt.input_shape[1:])
    middle = keras.Model(photos, tnt(photos))
    head = keras.layers.Dense(3)
    nested = keras.Sequential([middle, head])
    grown = keras.Model(tnt.input, head(tnt.output))
    config, expected = nested.get_config(), nested(images)
    found = grad_cam(nested, images)
    np.testing.assert_allclose(found, grad_cam(grown, images), atol=1e-5)
    assert nested.get_config() == config
    np.testing.assert_array_equal(nested(images), expected)


def test_grad_cam__predicted_classes():
    model = small()
    images = pixels(model, 3)
    predicted = np.argmax(model(images), axis=1)
    np.testing.assert_array_equal(
        grad_cam(model, images), grad_cam(model, images, predicted)
    )


def test_grad_cam__mixed_precision():
    images = pixels(small(), 2)
    expected = grad_cam(small(), images, classes=2)
    keras.config.set_dtype_policy("mixed_bfloat16")
    found = grad_cam(small(), images, classes=2)
    assert found.dtype == "float32"
    assert np.abs(found - expected).mean() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "baseline", "contrast", "steps"),
    [(small, 0, 1, 32), (small_pyramid, 120, 0.01, 16)],  # ReLU has corners
)
def test_integrated_gradients__complete(build, baseline, contrast, steps):
    """They share out exactly what the image has more of the logit."""
    model = build(classifier_activation="softmax")
    images = baseline + contrast * pixels(model, 2).astype("float32")
    found = integrated_gradients(model, images, [1, 4], baseline, steps)
    assert (found.shape, found.dtype) == (images.shape, "float32")
    logits = build(classifier_activation=None)
    difference = np.array(logits(images) - logits(0 * images + baseline))
    np.testing.assert_allclose(
        found.sum(axis=(1, 2, 3)), difference[[0, 1], [1, 4]], rtol=0.03
    )


def test_integrated_gradients__linear_model():
    """Weights times what the pixels have more than the baseline; no TNT is needed."""
    images = keras.Input((2, 2, 1))
    head = keras.layers.Dense(3, activation="sigmoid")
    model = keras.Model(images, head(keras.layers.Flatten()(images)))
    values = np.arange(8).reshape(2, 2, 2, 1)
    found = integrated_gradients(model, values, classes=2, baseline=3.0, steps=2)
    weights = head.kernel.numpy()[:, 2].reshape(2, 2, 1)
    np.testing.assert_allclose(found, (values - 3) * weights, rtol=1e-4, atol=1e-6)


def test_saliency__invalid_class():
    model = small()
    images = pixels(model, 1)
    for classes in (7, -1):
        with pytest.raises(ValueError, match=r"from 0 to 6, got \["):
            grad_cam(model, images, classes)


def test_saliency__unsupported_model():
    tnt = small(include_top=False, pooling="token")

    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.backbone = tnt

        def call(self, images):
            return self.backbone(images)

    for explain in (grad_cam, integrated_gradients):
        with pytest.raises(ValueError, match="'own' is not functional"):
            explain(Own(), pixels(tnt, 1))


def test_saliency__model_unchanged():
    model = keras_tnt.TNT(48, 12, 2, 3, classes=7, input_shape=(32, 48, 3))
    images = pixels(model, 1)
    config, expected = model.get_config(), model(images)
    names = [layer.name for layer in model.layers]
    grad_cam(model, images)
    integrated_gradients(model, images, steps=1)
    assert model.get_config() == config
    assert [layer.name for layer in model.layers] == names
    np.testing.assert_array_equal(model(images), expected)
