"""What the page shows of an image: the classes of `predict`, and where TNT looks."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt.app import Explanation, attention_image, explain_prediction
from keras_tnt.cli import main
from keras_tnt.export import export_model
from keras_tnt.images import load_image
from keras_tnt.inference.classification import prepare
from keras_tnt.inference.classifier import Classifier, load_classifier
from keras_tnt.visualization import class_token_map
from keras_tnt.visualization.attention_figure import AttentionView
from tests.helpers.app_runs import NAMES, PHOTO, make_run
from tests.helpers.small import pixels, small, small_pyramid


@pytest.mark.parametrize("channels", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_explain_prediction__equal_to_predict_command(channels, tmp_path, capsys):
    run = make_run(tmp_path / "run", channels)
    assert main(["predict", str(PHOTO), "--model", str(run), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    expected = [(c["class"], c["score"]) for c in json.loads(line)["classes"]]
    found = explain_prediction(load_classifier(run), load_image(PHOTO)).classes
    assert [name for name, _ in found] == [name for name, _ in expected]
    np.testing.assert_allclose(
        [score for _, score in found], [score for _, score in expected], atol=1e-6
    )


@pytest.mark.parametrize("inner_blocks", [None, (2,), ()])
def test_explain_prediction__maps_of_class_token(inner_blocks):
    model = small(depth=3, inner_blocks=inner_blocks)
    classifier = Classifier(model, NAMES, 0.9)
    image = load_image(PHOTO)
    maps = keras_tnt.attention_maps(model, prepare(classifier, image)[None])
    views = explain_prediction(classifier, image).views
    assert [view.weights.shape for view in views] == [(2, 3)] * 3
    for block, view in enumerate(views, start=1):
        expected = class_token_map(maps.outer[block], (2, 3))[0]
        np.testing.assert_allclose(view.weights, expected, atol=1e-6)
        if block not in maps.inner:
            assert view.inside is None
            continue
        inner = maps.inner[block][0, expected.argmax()]  # heads, queries, keys
        received = inner.mean(axis=(0, 1)).reshape(4, 4)
        np.testing.assert_allclose(view.inside, received, atol=1e-6)
    assert np.abs(views[0].weights - views[2].weights).max() > 0.01


def test_explain_prediction__maps_of_pyramid_and_nested_model():
    pyramid = small_pyramid()
    found = explain_prediction(Classifier(pyramid, NAMES, 0.9), load_image(PHOTO))
    blocks = len(keras_tnt.attention_maps(pyramid, pixels(pyramid)).outer)
    assert len(found.views) == blocks
    grids = {view.weights.shape for view in found.views}
    assert len(grids) > 1  # a grid for each stage
    assert attention_image(found, blocks).dtype == "uint8"

    backbone = small(include_top=False, pooling="token", name="backbone")
    outer = keras.Sequential([backbone, keras.layers.Dense(7)])
    views = explain_prediction(Classifier(outer, NAMES, 0.9), load_image(PHOTO)).views
    assert [view.weights.shape for view in views] == [(2, 3)] * 2


@pytest.mark.parametrize(
    ("channels", "size"), [(1, (32, 48)), (1, (512, 256)), (3, (512, 256))]
)
def test_explain_prediction__image_is_what_the_model_sees(channels, size):
    model = keras.Sequential(
        [
            keras.Input((*size, channels)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(7),
        ]
    )
    classifier = Classifier(model, NAMES, crop_fraction=0.5)
    image = load_image(PHOTO)
    seen = prepare(classifier, image)
    view = explain_prediction(classifier, image).image
    factor = max(1, 448 // max(size))
    assert view.dtype == "uint8"
    assert view.shape == (size[0] * factor, size[1] * factor, 3)
    smaller = tf.image.resize(view, size, method="area")
    assert np.abs(smaller - seen).mean() < 4
    if factor == 1:
        np.testing.assert_array_equal(view[..., :channels], seen)
    if channels == 1:
        assert np.ptp(view, axis=-1).max() == 0


@pytest.mark.slow
def test_explain_prediction__exported_model_has_no_maps(tmp_path):
    model = small()
    names = [f"class {i}" for i in range(7)]
    exported = tmp_path / "exported"
    export_model(model, exported, "savedmodel", labels=names)
    classifier = load_classifier(exported)
    found = explain_prediction(classifier, load_image(PHOTO))
    assert found.views == []
    expected = explain_prediction(
        Classifier(model, names, 0.9), load_image(PHOTO)
    ).classes
    assert [name for name, _ in found.classes] == [name for name, _ in expected]


def test_attention_image__panels(rng):
    image = rng.integers(0, 256, (40, 60, 3), "uint8")
    weights = np.array([[0, 0.5, 1], [1, 0, 0.25]])
    with_patch, without = (
        attention_image(Explanation([], image, [AttentionView(weights, inside)], ()), 1)
        for inside in (np.ones((4, 4)), None)
    )
    assert with_patch.dtype == "uint8"
    assert with_patch.shape[1:] == without.shape[1:] == (624, 3)
    assert len(with_patch) > len(without) + 200  # a second row of panels
