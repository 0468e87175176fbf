"""TNTs as users put them into models: several inputs, two TNTs, frames of a clip."""

import keras
import numpy as np
import pytest

import keras_tnt
from keras_tnt.structure import find_tnt
from keras_tnt.visualization import (
    block_features,
    grad_cam,
    integrated_gradients,
)
from tests.helpers.small import pixels, small

LABELS = np.array([0, 1, 2])


def body(name="tnt"):
    return small(depth=1, include_top=False, pooling="token", name=name)


def with_age(structure):
    """A classifier of an image and an age, of inputs in a dict or a list."""
    images, age = keras.Input((32, 48, 3), name="images"), keras.Input((1,), name="age")
    features = keras.layers.Concatenate()([body()(images), age])
    inputs = {"images": images, "age": age} if structure is dict else [age, images]
    outputs = keras.layers.Dense(3, activation="softmax")(features)
    return keras.Model(inputs, outputs)


def of_two(left="left", right="right"):
    images = keras.Input((32, 48, 3))
    features = [body(left)(images), body(right)(images)]
    outputs = keras.layers.Dense(3, "softmax")(keras.layers.Concatenate()(features))
    return keras.Model(images, outputs)


def check_trains_and_reloads(model, data, directory):
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    model.fit(data, LABELS, verbose=0)
    model.save(directory / "model.keras")
    loaded = keras.saving.load_model(directory / "model.keras")
    expected = model.predict_on_batch(data)
    np.testing.assert_allclose(loaded.predict_on_batch(data), expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("structure", [dict, list])
def test_inside_models__several_inputs(structure, tmp_path):
    model = with_age(structure)
    tnt = find_tnt(model)
    images, age = pixels(tnt).astype("float32"), np.ones((3, 1), "float32")
    data = {"images": images, "age": age} if structure is dict else [age, images]
    check_trains_and_reloads(model, data, tmp_path)
    maps = keras_tnt.attention_maps(tnt, images).outer[1]
    patches = block_features(tnt, images).patches[1]
    for given in (images, data):
        found = keras_tnt.attention_maps(model, given).outer[1]
        np.testing.assert_allclose(found, maps, atol=1e-6)
        found = block_features(model, given).patches[1]
        np.testing.assert_allclose(found, patches, atol=1e-5)
    features = keras_tnt.feature_extractor(model, (1,))
    np.testing.assert_allclose(features(images)["block_1"], patches, atol=1e-5)
    assert grad_cam(model, data).shape == (3, 2, 3)
    with pytest.raises(ValueError, match=r"one input, but .* has age, images"):
        integrated_gradients(model, data)


def test_inside_models__two_tnts(tmp_path):
    model = of_two()
    images = pixels(body()).astype("float32")
    check_trains_and_reloads(model, images, tmp_path)
    for function in (keras_tnt.attention_maps, block_features, grad_cam):
        with pytest.raises(ValueError, match=r"more than one TNT: left, right\. Pass"):
            function(model, images)
    with pytest.raises(ValueError, match=r"more than one TNT: left, right\. Pass"):
        keras_tnt.feature_extractor(model)
    left = keras_tnt.attention_maps(model.get_layer("left"), images)
    assert left.outer[1].shape == (3, 3, 7, 7)
    assert integrated_gradients(model, images, steps=1).shape == images.shape
    with pytest.raises(ValueError, match="used 2 times"):
        of_two("tnt", "tnt")


def test_time_distributed__model(tmp_path):
    tnt = body()
    clip = keras.Input((2, 32, 48, 3))
    frames = keras.layers.TimeDistributed(tnt)(clip)
    assert frames.shape == (None, 2, 48)
    outputs = keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(frames))
    model = keras.Model(clip, outputs)
    images = pixels(tnt).astype("float32")
    clips = np.stack([images, images[::-1]], axis=1)
    check_trains_and_reloads(model, clips, tmp_path)
    found = keras.Model(clip, frames)(clips)
    np.testing.assert_allclose(found[:, 0], tnt(images), atol=1e-5)
    with pytest.raises(ValueError, match="inside the TimeDistributed layer"):
        keras_tnt.attention_maps(model, clips)
    with pytest.raises(ValueError, match="inside the TimeDistributed layer"):
        keras_tnt.feature_extractor(model)
