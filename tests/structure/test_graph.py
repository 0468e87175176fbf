"""The TNT in a model, and graphs from the model's input to parts of it."""

import sys

import keras
import numpy as np
import pytest

from keras_tnt.models.features import feature_extractor
from keras_tnt.structure import extend_from_input, find_tnt
from tests.helpers.small import BOTH, pixels, small


def halved(tnt, **options):
    """A functional model that halves its images and has its own head."""
    height, width, channels = tnt.input_shape[1:]
    images = keras.Input((2 * height, 2 * width, channels), name="photos")
    x = keras.layers.AveragePooling2D(2, name="halve")(images)
    x = tnt(x)
    return keras.Model(images, keras.layers.Dense(2, name="own")(x), **options)


def in_sequence(tnt):
    halve = keras.layers.AveragePooling2D(2)
    height, width, channels = tnt.input_shape[1:]
    images = keras.Input((2 * height, 2 * width, channels))
    return keras.Sequential([images, halve, tnt, keras.layers.Dense(2)])


def twice(tnt):
    middle = halved(tnt, name="middle")
    images = keras.Input(middle.input_shape[1:])
    return keras.Model(images, keras.layers.Softmax()(middle(images)))


def last_block(tnt):
    layer = tnt.layers[-1]
    return keras.Model(tnt.input, layer.output)


def large(images):
    return images.repeat(2, axis=1).repeat(2, axis=2).astype("float32")


@pytest.mark.parametrize("build", [halved, in_sequence, twice])
@pytest.mark.parametrize("make", BOTH)
def test_extend_from_input__nested_tnt(build, make):
    tnt = make(include_top=False, pooling="avg")
    model = build(tnt)
    assert find_tnt(model) is tnt
    part = extend_from_input(model, last_block(tnt))
    images = pixels(tnt)
    np.testing.assert_allclose(part(large(images)), tnt(images), atol=1e-5)
    assert part.input_shape == model.input_shape


def test_find_tnt__in_itself_and_in_extended_model():
    tnt = small()
    grown = keras.Model(tnt.input, tnt.get_layer("block_1").output[1])
    for model in (tnt, grown):
        assert find_tnt(model) is model
        part = keras.Model(model.input, model.outputs)
        assert extend_from_input(model, part) is part


def test_extend_from_input__shares_weights_and_leaves_model_unchanged():
    tnt = small(include_top=False, pooling="token")
    model = halved(tnt)
    model.compile("sgd", "mse")
    images = large(pixels(tnt))
    config, expected = model.get_config(), model(images)
    part = extend_from_input(model, last_block(tnt))
    assert not part.compiled
    before = part(images)
    tnt.get_layer("norm").beta.assign_add(np.ones(48))
    np.testing.assert_allclose(part(images), before + 1, atol=1e-5)
    tnt.get_layer("norm").beta.assign_sub(np.ones(48))
    np.testing.assert_allclose(model(images), expected, atol=1e-5)
    assert model.get_config() == config


def test_extend_from_input__loaded_model_and_layer_called_twice(tmp_path):
    tnt = small(include_top=False, pooling="token")
    tnt(keras.Input(tnt.input_shape[1:]))
    other, model = halved(tnt), halved(tnt)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = large(pixels(tnt))
    for each in (other, model, loaded):
        part = extend_from_input(each, last_block(find_tnt(each)))
        np.testing.assert_allclose(part(images), tnt(pixels(tnt)), atol=1e-5)


def test_extend_from_input__drops_inputs_that_do_not_matter():
    tnt = small(include_top=False, pooling="token")
    images = keras.Input((32, 48, 3), name="images")
    age = keras.Input((1,), name="age")
    joined = keras.layers.Concatenate()([tnt(images), age])
    model = keras.Model({"age": age, "images": images}, joined)
    assert extend_from_input(model, last_block(tnt)).input_shape == (None, 32, 48, 3)


def test_extend_from_input__refuses_unreachable_tnt():
    tnt = small(include_top=False, pooling="token", name="inside")

    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.backbone = tnt

        def call(self, images):
            return self.backbone(images)

    left, right = keras.Input((32, 48, 3)), keras.Input((32, 48, 3))
    pair = keras.Model([left, right], keras.layers.Add()([tnt(left), tnt(right)]))
    for model, message in ((Own(), "'own' is not functional"), (pair, "on 2 inputs")):
        assert find_tnt(model) is tnt
        with pytest.raises(ValueError, match=rf"{message}.*get_layer\('inside'\)"):
            extend_from_input(model, last_block(tnt))


def test_model_to__searches_only_before_the_images():
    """Keras's search for inputs doubles with every layer of two inputs."""
    tnt = small(depth=14, include_top=False)
    searches = 0

    def count(frame, event, argument):
        nonlocal searches
        name = frame.f_code.co_name
        searches += event == "call" and name == "get_source_inputs"

    sys.setprofile(count)
    try:
        feature_extractor(halved(tnt), blocks=[14])
    finally:
        sys.setprofile(None)
    assert searches < 20
