"""Predicting the boxes of objects in an image."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.data.augmentation.mask_transforms import resize_image
from keras_tnt.inference.dense_runs import load_run
from keras_tnt.structure.architecture import image_shape
from keras_tnt.tasks.detections import detections_of
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike


class Detector(NamedTuple):
    """A model of the boxes of objects, and the names of the classes."""

    model: keras.Model
    class_names: list


class Detection(NamedTuple):
    """An object that was found.

    Attributes:
        class_name: name of its class.
        label: number of its class.
        score: from 0 to 1.
        box: left, top, right and bottom in pixels of the image.
    """

    class_name: str
    label: int
    score: float
    box: tuple[float, float, float, float]


def load_detector(source: PathLike) -> Detector:
    """Load the detector of a run directory.

    Args:
        source: the directory of a run with ``task="detection"``.

    Returns:
        A `Detector`.

    Raises:
        FileNotFoundError: if it is not a run directory.
        ValueError: if the run has another task, or has not ended.

    Example:
        ```python
        from keras_tnt import load_image
        from keras_tnt.inference import detect, load_detector

        detector = load_detector("runs/streets")
        for found in detect(detector, load_image("street.jpg")):
            print(found.class_name, found.score, found.box)
        ```
    """
    return Detector(*load_run(source, "detection"))


def detect(detector: Detector, image: ArrayLike) -> list[Detection]:
    """Find the objects in an image.

    The image is resized to the model's size, and the boxes back to that of the image.

    Args:
        detector: a `Detector`.
        image: ``(height, width, 3)``, values 0-255, such as `keras_tnt.load_image`
            returns.

    Returns:
        A list of `Detection`, by falling score.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.inference import Detector, detect
        >>> tnt = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3,
        ...                     input_shape=(64, 64, 3))
        >>> model = keras_tnt.tasks.detector(tnt, classes=2, dim=32, levels=(4, 5),
        ...                                  score_threshold=0.5)
        >>> detect(Detector(model, ["cat", "dog"]), numpy.zeros((40, 60, 3), "uint8"))
        []
    """
    model, names = detector
    pixels = np.asarray(image)
    shape = image_shape(model)
    resized = resize_image(tf.constant(pixels), shape)
    predicted = model.predict_on_batch(resized[tf.newaxis].numpy())
    size = pixels.shape[0], pixels.shape[1]
    found = detections_of(predicted, 0, shape[:2], size).tolist()
    return [
        Detection(names[int(number)], int(number), score, tuple(box))
        for *box, number, score in found
    ]
