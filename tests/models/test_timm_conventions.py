"""What timm asks of each of its models, asked of ours.

The tests follow the ideas of timm's ``tests/test_models.py``: a forward and a backward
pass of every model, models without classifier or with another one, other channels, the
strides of feature maps, and the default configuration. timm's `forward_features` is a
model with ``include_top=False`` or a `feature_extractor` here, `reset_classifier` the
arguments ``classes``, ``include_top`` and ``pooling``.

Left out, because other tests prove it already:

- ``test_model_inference`` (published weights give stored outputs):
  tests/models/test_tnt_reference.py and test_pyramid_tnt_reference.py, with tensors of
  timm and of the official code.
- ``test_model_load_pretrained`` (pretrained weights with one channel, other classes and
  without head): tests/weights/test_load.py; tests/keras_hub for presets.
- ``test_model_features_pretrained``: a `feature_extractor` shares the weights of the
  model that it is given, so that loading does not depend on it.
- ``set_grad_checkpointing`` in ``test_model_forward`` and
  ``test_model_forward_intermediates``: tests/compat/test_rematerialization.py.
- The values of intermediate maps: tests/models/test_features.py.
- A TNT of one channel: tests/models/test_tnt_reference.py.
- The crop and the interpolation of the configuration: tests/images/test_preprocess.py.

Left out, because there is nothing to test in Keras:

- ``test_model_forward_torchscript``, ``test_model_forward_fx``,
  ``test_model_backward_fx``, ``test_model_forward_fx_torchscript`` and
  ``test_model_forward_torchscript_with_features_fx``: TorchScript and torch.fx. Their
  counterparts, graphs, XLA and SavedModels, are in tests/helpers/checks.py.
- ``output_fmt`` in ``test_model_forward_intermediates``: maps are channels-last only.
- ``test_naflexvit_*`` and ``test_gemma4_*``: architectures that are not ours.
- ``pool_size``, ``fixed_input_size`` and ``min_input_size`` of the configuration: our
  models take any multiple of their stride, which tests/models/test_tnt.py and
  test_pyramid_tnt.py prove, and have no table of sizes.
"""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt.models import pyramid_tnt, tnt
from keras_tnt.structure import find_head, stem
from keras_tnt.weights.registry import PUBLISHED
from tests.helpers.small import build_pyramid_tnt, build_tnt, pixels, randomised

TNT_BUILDERS = {
    "tnt_tiny": keras_tnt.TNTTiny,
    "tnt_small": keras_tnt.TNTSmall,
    "tnt_base": keras_tnt.TNTBase,
}
PYRAMID_BUILDERS = {
    "pyramid_tnt_tiny": keras_tnt.PyramidTNTTiny,
    "pyramid_tnt_small": keras_tnt.PyramidTNTSmall,
    "pyramid_tnt_medium": keras_tnt.PyramidTNTMedium,
    "pyramid_tnt_base": keras_tnt.PyramidTNTBase,
}
BUILDERS = TNT_BUILDERS | PYRAMID_BUILDERS
LARGE = ("pyramid_tnt_medium", "pyramid_tnt_base")
# Small models of each kind of block, with the strides of their maps.
KINDS = {
    "tnt": (build_tnt, {}, (16, 16)),
    "every option": (
        build_tnt,
        {
            "patch_size": 8,
            "inner_stride": 2,
            "se_ratio": 0.25,
            "qkv_bias": True,
            "inner_blocks": (2,),
        },
        (8, 8),
    ),
    "pyramid": (build_pyramid_tnt, {}, (8, 16, 32, 64)),
    "odd pyramid": (build_pyramid_tnt, {"input_shape": (40, 72, 3)}, (8, 16, 32, 64)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
CLASSES = 42


def build(kind, **arguments):
    function, options, _ = KINDS[kind]
    return function(**(options | arguments))


@functools.cache
def classifier(kind):
    """A model with logits of `CLASSES` classes, in which every weight matters."""
    return randomised(build(kind, classes=CLASSES, classifier_activation=None))


@functools.cache
def without_head(kind, pooling=None):
    """The same model with features as outputs; the head has the last two weights."""
    model = build(kind, include_top=False, pooling=pooling)
    model.set_weights(classifier(kind).get_weights()[:-2])
    return model


def map_shape(model, stride):
    """The rows and columns of a map of this stride."""
    return tuple(math.ceil(side / stride) for side in model.input_shape[1:3])


def first_kernel(model):
    """The kernel of the first convolution, timm's ``first_conv``."""
    return next(weight for weight in stem(model).weights if weight.name == "kernel")


def test_builders__are_all_published_sizes():
    """A new size must be added to the tests of this file."""
    assert set(BUILDERS) == tnt.VARIANTS.keys() | pyramid_tnt.VARIANTS.keys()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else [])
        for name in BUILDERS
    ],
)
def test_forward__published_widths(name, monkeypatch):
    """Of the published depths, one block or one block a stage is run."""
    arguments = {"weights": None, "input_shape": (32, 32, 3)}
    if name in TNT_BUILDERS:
        arguments["depth"] = 1
    else:
        monkeypatch.setitem(pyramid_tnt.VARIANTS[name], "depths", (1, 1, 1, 1))
    model = BUILDERS[name](**arguments)
    outputs = model(pixels(model, 1)).numpy()
    assert outputs.shape == (1, 1000)
    assert np.isfinite(outputs).all()
    np.testing.assert_allclose(outputs.sum(), 1, rtol=1e-5)


@every_kind
def test_backward__a_gradient_for_every_parameter(kind):
    model = classifier(kind)
    variables = model.trainable_weights
    with tf.GradientTape() as tape:
        # In inference: a bias before a BatchNorm has no gradient in training.
        outputs = model(pixels(model, 2), training=False)
        loss = tf.reduce_mean(outputs)
    assert outputs.shape == (2, CLASSES)
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None, f"{variable.path} has no gradient"
        assert gradient.shape == variable.shape
        assert np.isfinite(gradient).all(), f"{variable.path}: not finite"
        assert np.abs(gradient).max() > 0, f"{variable.path}: zero"


@every_kind
def test_reset_classifier__no_classes(kind):
    """Without head the model returns what the head got; without pooling, a map."""
    model = classifier(kind)
    pooling = "token" if KINDS[kind][0] is build_tnt else "avg"
    images = pixels(model, 1)
    before_head = keras.Model(model.input, find_head(model).features)(images)
    pooled = without_head(kind, pooling)(images)
    np.testing.assert_allclose(pooled, before_head, atol=1e-6)
    unpooled = without_head(kind)(images)
    size = map_shape(model, KINDS[kind][2][-1])
    assert unpooled.shape == (1, *size, before_head.shape[-1])
    if pooling == "avg":
        mean = np.mean(unpooled, axis=(1, 2))
        np.testing.assert_allclose(mean, before_head, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["tnt", "pyramid"])
def test_reset_classifier__zero_is_refused(kind):
    """timm's 0 classes are ``include_top=False`` here."""
    with pytest.raises(ValueError, match="classes must be at least 1, got 0"):
        build(kind, classes=0)


@every_kind
def test_reset_classifier__other_classes(kind):
    """A new head on the features keeps the rest of the model."""
    model = classifier(kind)
    features = find_head(model).features
    other = keras.Model(model.input, keras.layers.Dense(5, name="own")(features))
    images = pixels(model, 1)
    assert other(images).shape == (1, 5)
    assert find_head(other).dense is other.get_layer("own")
    kept = [weight.path for weight in model.weights[:-2]]
    assert [weight.path for weight in other.weights[:-2]] == kept


@pytest.mark.parametrize(("kind", "channels"), [("tnt", 4), ("pyramid", 1)])
def test_in_chans__other_channels(kind, channels):
    model = build(kind, input_shape=(64, 64, channels))
    outputs = model(pixels(model, 1)).numpy()
    assert outputs.shape == (1, 7)
    assert np.isfinite(outputs).all()
    assert first_kernel(model).shape[2] == channels


@every_kind
def test_features__counts_channels_and_reductions(kind):
    model = classifier(kind)
    function, _, strides = KINDS[kind]
    maps = keras_tnt.feature_extractor(model, len(strides))(pixels(model, 2))
    multiples = pyramid_tnt.MULTIPLES if function is build_pyramid_tnt else (3, 3)
    assert len(maps) == len(strides)
    for found, stride, multiple in zip(maps.values(), strides, multiples, strict=True):
        assert found.shape == (2, *map_shape(model, stride), 16 * multiple)
        assert np.isfinite(found).all()


@every_kind
def test_features__last_map_equals_forward_features(kind):
    model = classifier(kind)
    images = pixels(model, 1)
    (last,) = keras_tnt.feature_extractor(model, 1, final_norm=True)(images).values()
    np.testing.assert_allclose(last, without_head(kind)(images), atol=1e-6)


@every_kind
def test_default_config__mean_and_standard_deviation(kind):
    """timm's 0.5 and 0.5: black is -1, white 1."""
    model = classifier(kind)
    scaled = keras.Model(model.input, stem(model).input)
    for value, expected in ((0, -1), (255, 1), (127.5, 0)):
        found = scaled(np.full((1, *model.input_shape[1:]), value, "float32"))
        np.testing.assert_allclose(found, np.full(found.shape, expected), atol=1e-6)


@pytest.mark.parametrize("name", PUBLISHED)
def test_default_config__input_size(name):
    model = BUILDERS[name](weights=None, depth=1, include_top=False)
    size = PUBLISHED[name].image_size
    assert model.input_shape == (None, size, size, 3)


@every_kind
def test_default_config__names_of_classifier_and_first_convolution(kind):
    model = classifier(kind)
    assert model.get_layer("predictions") is find_head(model).dense
    paths = [weight.path for weight in model.weights]
    assert paths[-2:] == ["predictions/kernel", "predictions/bias"]
    is_tnt = KINDS[kind][0] is build_tnt
    name = "pixel_embedding/projection" if is_tnt else "stem/common_convolution"
    assert first_kernel(model).path == f"{name}/kernel"
