"""Resizing of maps to the size of another tensor."""

from typing import Any

import keras
from keras import ops

from keras_tnt.layers.base import TNTLayer, sizes
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class ResizeLike(TNTLayer):
    """Resize maps to the height and width of another tensor: bilinear.

    Either size may be open. Maps of that static size are returned as they are. Corners
    are not aligned, and there is no antialias, as is usual in segmentation heads.

    Shapes: ``(batch, rows, columns, dim)`` to ``(batch, height, width, dim)``.

    Args:
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        maps: floating-point tensor ``(batch, rows, columns, dim)``.
        like: tensor ``(batch, height, width, …)``, for its size alone.

    Example:
        >>> import keras
        >>> from keras_tnt.layers.resize_like import ResizeLike
        >>> ops = keras.ops
        >>> ResizeLike()(ops.ones((2, 3, 4, 48)), ops.ones((2, 6, 9, 1))).shape
        TensorShape([2, 6, 9, 48])
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.built = True

    def compute_output_spec(self, maps: Tensor, like: Tensor) -> keras.KerasTensor:
        """Return the Keras tensor of the outputs."""
        shape = (maps.shape[0], *like.shape[1:3], maps.shape[-1])
        return keras.KerasTensor(shape, self.compute_dtype)

    def call(self, maps: Tensor, like: Tensor) -> Tensor:
        height, width, *_ = sizes(like)
        if isinstance(height, int) and isinstance(width, int):
            if tuple(maps.shape[1:3]) == (height, width):
                return maps
            return ops.image.resize(maps, (height, width), interpolation="bilinear")
        # Only TensorFlow's graphs have sizes that are not known.
        resized = tf.image.resize(maps, tf.stack([height, width]), "bilinear")
        return tf.cast(resized, self.compute_dtype)
