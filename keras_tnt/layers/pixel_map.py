"""Pixels of all patches as one map."""

import math
from typing import Any

import keras
from keras import ops

from keras_tnt.layers.base import TNTLayer, sizes
from keras_tnt.utils.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class PixelMap(TNTLayer):
    """Arrange the pixels of all patches of a TNT as one map.

    The map has the stride of the pixels, which is ``inner_stride``: 4 in the published
    models.

    Shapes: ``(batch, patches, pixels, dim)`` to ``(batch, rows · side, columns · side,
    dim)``, where ``side`` is the square root of ``pixels``. The number of patches may
    be open.

    Args:
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        pixels: floating-point tensor ``(batch, patches, pixels, dim)``.
        patches: tensor ``(batch, rows, columns, …)`` of the patches, for their number
            alone.

    Example:
        >>> import keras
        >>> from keras_tnt.layers.pixel_map import PixelMap
        >>> ops = keras.ops
        >>> PixelMap()(ops.ones((2, 6, 16, 12)), ops.ones((2, 2, 3, 48))).shape
        TensorShape([2, 8, 12, 12])
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.built = True

    def compute_output_spec(self, pixels: Tensor, patches: Tensor) -> keras.KerasTensor:
        """Return the Keras tensor of the outputs."""
        side = math.isqrt(pixels.shape[2])
        grid = [number and number * side for number in patches.shape[1:3]]
        shape = (pixels.shape[0], *grid, pixels.shape[-1])
        return keras.KerasTensor(shape, self.compute_dtype)

    def call(self, pixels: Tensor, patches: Tensor) -> Tensor:
        rows, columns, *_ = sizes(patches)
        count, dim = pixels.shape[2:]
        side = math.isqrt(count)
        x = ops.reshape(pixels, (-1, columns, side, side * dim))  # a row of patches
        x = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(x, (-1, rows * side, columns * side, dim))
