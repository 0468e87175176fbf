import keras
import numpy as np
import pytest

import keras_tnt
from tests.helpers.small import dense_classifier, pixels, small, small_pyramid


@pytest.mark.slow
@pytest.mark.parametrize("build", [small, small_pyramid])
def test_reset_classifier__keeps_everything_but_the_head(build, tmp_path):
    model = build()
    images = pixels(model)
    before = model.predict_on_batch(images)
    model.get_layer("norm").trainable = False
    new = keras_tnt.reset_classifier(model, 5)
    assert new.name == model.name
    assert new.predict_on_batch(images).shape == (3, 5)
    np.testing.assert_allclose(new.predict_on_batch(images).sum(-1), 1, atol=1e-5)
    assert not new.get_layer("norm").trainable
    kept = [w for w in model.weights if "predictions" not in w.path]
    assert [w for w in new.weights if "predictions" not in w.path] == kept
    np.testing.assert_array_equal(model.predict_on_batch(images), before)
    features = keras_tnt.reset_classifier(model, 0)
    head = model.get_layer("predictions")
    again = keras.Sequential([features, head])
    np.testing.assert_allclose(again.predict_on_batch(images), before, atol=1e-6)
    new.compile("sgd", "sparse_categorical_crossentropy")
    new.fit(images, np.array([0, 1, 4]), verbose=0)
    new.save(tmp_path / "new.keras")
    loaded = keras.saving.load_model(tmp_path / "new.keras")
    expected = new.predict_on_batch(images)
    np.testing.assert_allclose(loaded.predict_on_batch(images), expected, atol=1e-6)


def test_reset_classifier__logits():
    model = keras_tnt.reset_classifier(small(), 5, classifier_activation=None)
    assert not np.allclose(model.predict_on_batch(pixels(model)).sum(-1), 1)


@pytest.mark.parametrize("classes", [-1, 2.5, "7"])
def test_reset_classifier__wrong_number(classes):
    with pytest.raises(ValueError, match="classes must be"):
        keras_tnt.reset_classifier(small(), classes)


@pytest.mark.parametrize("build", [dense_classifier, lambda: small(include_top=False)])
def test_reset_classifier__no_head(build):
    with pytest.raises(ValueError, match="with its top"):
        keras_tnt.reset_classifier(build(), 5)
