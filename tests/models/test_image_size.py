"""The same model on images of another size."""

import keras
import numpy as np
import pytest

import keras_tnt
from keras_tnt.models.image_size import at_image_size
from tests.helpers.small import pixels, small, small_pyramid


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (small, (48, 64, 3)),
        pytest.param(small_pyramid, (96, 64, 3), marks=pytest.mark.slow),
    ],
)
def test_at_image_size__equals_a_model_built_at_that_size(build, shape, tmp_path):
    model = build(depth=1) if build is small else build()
    model.save(tmp_path / "model.keras")
    expected = build(input_shape=shape, **({"depth": 1} if build is small else {}))
    keras_tnt.load_weights(expected, tmp_path / "model.keras")
    images = pixels(expected)
    found = at_image_size(model, shape[:2])
    assert found.input_shape == (None, *shape)
    assert [v.path for v in found.variables] == [v.path for v in model.variables]
    np.testing.assert_allclose(found(images), expected(images), atol=1e-6)


def test_at_image_size__its_own():
    model = small(depth=1)
    assert at_image_size(model, (32, 48)) is model


def test_at_image_size__other_models():
    images = keras.Input((32, 48, 3))
    nested = keras.Model(images, keras.layers.Dense(2)(small(depth=1)(images)))
    flat = keras.Sequential([images, keras.layers.Flatten(), keras.layers.Dense(2)])
    for model in (nested, flat):
        with pytest.raises(ValueError, match=r"takes images of size \(32, 48\) only"):
            at_image_size(model, (64, 64))
