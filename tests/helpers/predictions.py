"""What the classification of image files must give."""

import numpy as np

import keras_tnt
from keras_tnt.images import load_image
from tests.helpers.datasets import pillow_gray

NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]


def expected_scores(model, paths, crop_fraction):
    """What the model gives for the files, step by step."""
    images = [load_image(path) for path in paths]
    if model.input_shape[-1] == 1:
        images = [pillow_gray(image) for image in images]
    size = model.input_shape[1:3]
    inputs = keras_tnt.preprocess_input(images, size, crop_fraction)
    return model.predict(inputs, verbose=0)


def check_predictions(predictions, paths, scores, names, top):
    assert [prediction.path for prediction in predictions] == [str(p) for p in paths]
    for prediction, row in zip(predictions, scores, strict=True):
        best = np.argsort(-row)[:top]
        assert [name for name, _ in prediction.classes] == [names[i] for i in best]
        found = [score for _, score in prediction.classes]
        assert all(type(score) is float for score in found)
        np.testing.assert_allclose(found, row[best], atol=1e-5)
