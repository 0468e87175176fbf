"""The content of the page for one image: its classes, and the attention."""

import time
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.images import preprocess_input, rgb_to_gray
from keras_tnt.inference.classification import classify, prepare
from keras_tnt.inference.classifier import Classifier
from keras_tnt.structure import find_tnt
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.visualization.attention_figure import attention_figure, attention_view
from keras_tnt.visualization.attention_maps import attention_maps

DISPLAY_SIZE = 448  # pixels of the longer side of the image shown
FIGURE_DPI = 120  # pixels per inch


class Explanation(NamedTuple):
    """The prediction for one image, with attention.

    Attributes:
        classes: pairs (name, score), best first.
        image: the part that the model sees, uint8 ``(height, width, 3)``.
        views: the `keras_tnt.visualization.attention_figure.AttentionView` of each
            block, a list; empty if the model is no TNT in Keras.
        seconds: durations of the classification, with resizing, and of the maps.
    """

    classes: list
    image: np.ndarray
    views: list
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
        >>> len(night.views), night.views[0].weights.shape, night.image.shape
        (2, (4, 4), (448, 448, 3))
    """
    start = time.perf_counter()
    inputs = prepare(classifier, image)[tf.newaxis]
    (classes,) = classify(classifier, inputs, top)
    middle = time.perf_counter()
    views = _views(classifier.model, inputs)
    seconds = (middle - start, time.perf_counter() - middle)
    return Explanation(classes, _enlarge(classifier, image), views, seconds)


def attention_image(explanation: Explanation, block: int) -> np.ndarray:
    """Draw the attention of one block, in two columns of panels.

    Args:
        explanation: an `Explanation` with attention.
        block: the block, counted from 1.

    Returns:
        The `keras_tnt.visualization.attention_figure.attention_figure` as a uint8 array
        ``(height, width, 3)``.

    Example:
        >>> import numpy
        >>> from keras_tnt.app import Explanation, attention_image
        >>> from keras_tnt.visualization.attention_figure import AttentionView
        >>> view = AttentionView(numpy.eye(2), numpy.ones((4, 4)))
        >>> image = numpy.zeros((64, 64, 3), "uint8")
        >>> attention_image(Explanation([], image, [view], ()), block=1).shape[-1]
        3
    """
    view = explanation.views[block - 1]
    figure = attention_figure([explanation.image], [view], columns=2)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(FIGURE_DPI)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _views(model, inputs):
    if not isinstance(model, keras.Model):  # an exported model
        return []
    try:
        find_tnt(model)
    except ValueError:
        return []
    maps = attention_maps(model, inputs)
    return [attention_view(maps, block) for block in sorted(maps.outer)]


def _enlarge(classifier, image):
    """The part of an image that the model sees, enlarged."""
    _, height, width, channels = classifier.model.input_shape
    factor = max(1, DISPLAY_SIZE // max(height, width))
    size = (height * factor, width * factor)
    if channels == 1:
        image = tf.image.grayscale_to_rgb(rgb_to_gray(image))
    view = preprocess_input(image, size, classifier.crop_fraction)
    return view.numpy().astype("uint8")
