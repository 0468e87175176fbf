"""Pixel merging: pixels of 2x2 patches, between the stages of a PyramidTNT."""

import math
from typing import Any

import keras
from keras import ops

from keras_tnt.layers.base import TNTLayer, pad_image, sizes
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class PixelMerging(TNTLayer):
    """Merge the pixels of 2x2 patches into one patch (arXiv 2201.00978, section 2.2).

    The layer applies LayerNorm and arranges the pixels of four patches as one map of
    twice the side. It applies a 3x3 convolution of stride 2, zero-padded by 1, to each
    map separately. If the number of rows or columns is odd, the missing patches are
    zeros, added after the norm.

    Shapes: ``(batch, rows, columns, pixels, channels)`` to
    ``(batch, rows / 2, columns / 2, pixels, dim)``; ``pixels`` is a square number. Rows
    and columns may be open, the other axes are static.

    Args:
        dim: width of a merged pixel.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        pixels: floating-point tensor ``(batch, rows, columns, pixels, channels)``.

    Raises:
        ValueError: if the number of pixels of a patch is not a square number.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import PixelMerging
        >>> PixelMerging(dim=16)(keras.ops.ones((2, 8, 7, 16, 8))).shape
        TensorShape([2, 4, 4, 16, 16])
    """

    def __init__(self, dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        check_counts(dim=dim)
        self.dim = dim
        self.norm = self._norm("norm")
        self.convolution = self._convolution(dim, "convolution", strides=2)

    def build(self, pixels_shape: Shape) -> None:
        *_, per_patch, channels = pixels_shape
        # Not in `call`, where PyTorch's exporters trace the sizes as tensors.
        self._side = math.isqrt(per_patch)
        if self._side**2 != per_patch:
            raise ValueError(
                f"{self.name}: expected a square number of pixels in each patch, got "
                f"{per_patch}."
            )
        self.norm.build(pixels_shape)
        self.convolution.build((None, None, None, channels))

    def compute_output_spec(self, pixels: Tensor) -> keras.KerasTensor:
        """Return the Keras tensor of the outputs."""
        batch, rows, columns, per_patch, _ = pixels.shape
        grid = (side and (side + 1) // 2 for side in (rows, columns))
        return keras.KerasTensor(
            (batch, *grid, per_patch, self.dim), self.compute_dtype
        )

    def call(self, pixels: Tensor) -> Tensor:
        rows, columns, per_patch, channels = sizes(pixels)
        side = self._side
        x = ops.reshape(self.norm(pixels), (-1, rows, columns, per_patch * channels))
        x = ops.pad(x, ((0, 0), (0, rows % 2), (0, columns % 2), (0, 0)))
        rows, columns = (rows + 1) // 2, (columns + 1) // 2
        # A row of pixels and its channels are one axis: LiteRT transposes six at most.
        x = ops.reshape(x, (-1, 2, columns, 2, side, side * channels))
        x = ops.transpose(x, (0, 2, 1, 4, 3, 5))
        x = ops.reshape(x, (-1, 2 * side, 2 * side, channels))
        x = self.convolution(pad_image(x))
        return ops.reshape(x, (-1, rows, columns, per_patch, self.dim))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim}
