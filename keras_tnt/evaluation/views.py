"""Test-time augmentation: the mean of a model's answers to views of an image."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.typing import Tensor


def mean_of_views(
    predict: Callable[[Tensor], Any],
    images: Tensor,
    size: tuple[int, int],
    flip: bool = False,
) -> np.ndarray:
    """Return the mean of the probabilities of all views of images.

    Args:
        predict: function from images of `size` to probabilities (batch, classes).
        images: batch (batch, height, width, channels). If it is larger than `size`, the
            views are the center and the four corners.
        size: height and width of a view.
        flip: whether each view is also seen mirrored, left to right.
    """
    if not uses_tensorflow():
        images = np.asarray(images)
    answers = [
        keras.ops.convert_to_numpy(predict(view)).astype("float64")
        for crop in _crops(images, size)
        for view in ([crop, crop[:, :, ::-1]] if flip else [crop])
    ]
    return np.mean(answers, axis=0)


def _crops(images: Tensor, size: tuple[int, int]) -> Iterator[Tensor]:
    height, width = size
    bottom, right = images.shape[1] - height, images.shape[2] - width
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
    center = (bottom // 2, right // 2)
    for top, left in [center, *corners] if bottom or right else [center]:
        yield images[:, top : top + height, left : left + width]
