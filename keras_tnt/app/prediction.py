"""The content of the page for one image: its classes, and the attention."""

import time
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.images import preprocess_input, rgb_to_gray
from keras_tnt.images.preprocess import check_scale
from keras_tnt.inference.classification import classify, prepare
from keras_tnt.inference.classifier import Classifier
from keras_tnt.structure import find_tnt
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.visualization import attention_maps, block_map

DISPLAY_SIZE = 448  # pixels of the longer side of the image shown


class Explanation(NamedTuple):
    """The prediction for one image, with attention.

    Attributes:
        classes: pairs (name, score), best first.
        image: the part that the model sees, uint8 ``(height, width, 3)``.
        maps: the `keras_tnt.visualization.block_map` of each block, a list of
            float ``(rows, columns)``, at most 1; empty if the model is no TNT in Keras.
        seconds: durations of the classification, with resizing, and of the maps.
    """

    classes: list
    image: np.ndarray
    maps: list
    seconds: tuple


def explain_prediction(
    classifier: Classifier, image: ArrayLike, top: int = 5
) -> Explanation:
    """Classify an image, and compute the attention of every block.

    Args:
        classifier: a `keras_tnt.inference.classifier.Classifier`.
        image: a color image of any size, uint8 ``(height, width, 3)``.
        top: number of classes to return; all if there are fewer.

    Returns:
        An `Explanation`; its classes are those of `keras_tnt.inference.predict_files`.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.app import explain_prediction
        >>> from keras_tnt.inference.classifier import Classifier
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> pets = Classifier(model, ["cat", "dog"], crop_fraction=0.9)
        >>> night = explain_prediction(pets, numpy.zeros((80, 90, 3), "uint8"))
        >>> len(night.maps), night.maps[0].shape, night.image.shape
        (2, (4, 4), (448, 448, 3))
    """
    start = time.perf_counter()
    inputs = prepare(classifier, image)[tf.newaxis]
    (classes,) = classify(classifier, inputs, top)
    middle = time.perf_counter()
    maps = _maps(classifier.model, inputs)
    seconds = (middle - start, time.perf_counter() - middle)
    return Explanation(classes, _view(classifier, image), maps, seconds)


def blend_overlay(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Blend a map of attention over an image in the colors "inferno".

    Args:
        image: uint8 ``(height, width, 3)``.
        weights: float ``(rows, columns)``, 0-1, a value for each patch.

    Returns:
        A uint8 array like ``image``.

    Raises:
        ValueError: if the image looks scaled to 0-1.

    Example:
        >>> import numpy
        >>> from keras_tnt.app import blend_overlay
        >>> blend_overlay(numpy.zeros((32, 64, 3), "uint8"), numpy.eye(2)).shape
        (32, 64, 3)
    """
    import matplotlib

    check_scale(image)
    heat = 255 * matplotlib.colormaps["inferno"](weights)[..., :3]
    heat = tf.image.resize(heat, image.shape[:2], method="nearest").numpy()
    return np.round(0.4 * image + 0.6 * heat).astype("uint8")


def _maps(model, inputs):
    if not isinstance(model, keras.Model):  # an exported model
        return []
    try:
        find_tnt(model)
    except ValueError:
        return []
    maps = attention_maps(model, inputs)
    return [block_map(maps, block)[0] for block in sorted(maps.outer)]


def _view(classifier, image):
    """The part of an image that the model sees, enlarged."""
    _, height, width, channels = classifier.model.input_shape
    factor = max(1, DISPLAY_SIZE // max(height, width))
    size = (height * factor, width * factor)
    if channels == 1:
        image = tf.image.grayscale_to_rgb(rgb_to_gray(image))
    view = preprocess_input(image, size, classifier.crop_fraction)
    return view.numpy().astype("uint8")
