"""Predicting the class of every pixel of an image."""

from __future__ import annotations

import io
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.data.augmentation.mask_transforms import resize_image
from keras_tnt.evaluation.batches import check_finite_outputs
from keras_tnt.inference.dense_runs import load_run
from keras_tnt.structure.architecture import image_shape
from keras_tnt.utils.files import atomic_write
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike


class Segmenter(NamedTuple):
    """A model of the class of every pixel, and the names of the classes."""

    model: keras.Model
    class_names: list


def load_segmenter(source: PathLike) -> Segmenter:
    """Load the segmenter of a run directory.

    Args:
        source: the directory of a run with ``task="segmentation"``.

    Returns:
        A `Segmenter`.

    Raises:
        FileNotFoundError: if it is not a run directory.
        ValueError: if the run has another task, or has not ended.

    Example:
        ```python
        from keras_tnt import load_image
        from keras_tnt.inference import load_segmenter, predict_mask

        segmenter = load_segmenter("runs/streets")
        mask = predict_mask(segmenter, load_image("street.jpg"))
        ```
    """
    return Segmenter(*load_run(source, "segmentation"))


def predict_mask(segmenter: Segmenter, image: ArrayLike) -> np.ndarray:
    """Predict the class of every pixel, at the image's own size.

    The image is resized to the model's size, and the logits back to that of the image.

    Args:
        segmenter: a `Segmenter`.
        image: ``(height, width, 3)``, values 0-255, such as `keras_tnt.load_image`
            returns.

    Returns:
        An int32 array ``(height, width)``.

    Raises:
        ValueError: if the model returns NaN or infinity.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.inference import Segmenter, predict_mask
        >>> tnt = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3,
        ...                     input_shape=(32, 32, 3))
        >>> model = keras_tnt.tasks.segmenter(tnt, classes=2, dim=32)
        >>> image = numpy.zeros((40, 60, 3), "uint8")
        >>> predict_mask(Segmenter(model, ("sky", "tree")), image).shape
        (40, 60)
    """
    model = segmenter.model
    image = tf.convert_to_tensor(image)
    resized = resize_image(image, image_shape(model))
    (logits,) = model.predict_on_batch(resized[tf.newaxis].numpy())
    check_finite_outputs(logits)
    logits = tf.image.resize(logits, tf.shape(image)[:2], "bilinear")
    return tf.argmax(logits, -1, tf.int32).numpy()


def write_mask(mask: np.ndarray, colors: np.ndarray, path: PathLike) -> None:
    """Write a mask as a PNG file whose values are classes, shown in colors.

    Args:
        mask: whole numbers from 0 to 255 ``(height, width)``.
        colors: color of each class, uint8 ``(classes, 3)``.
        path: the file.

    Raises:
        ValueError: if there are more than 256 classes.

    Example:
        >>> import numpy
        >>> from keras_tnt.inference import write_mask
        >>> colors = numpy.array([[0, 0, 0], [255, 0, 0]], "uint8")
        >>> write_mask(numpy.array([[0, 1], [1, 0]]), colors, "mask.png")
    """
    from PIL import Image

    if len(colors) > 256:
        raise ValueError(
            f"A PNG file has colors for 256 classes at most, got {len(colors)}."
        )
    image = Image.fromarray(mask.astype("uint8"))
    image.putpalette(colors.astype("uint8").tobytes())
    contents = io.BytesIO()
    image.save(contents, "PNG")
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(contents.getvalue())
