"""Patch merging: halves the patch grid between the stages of a PyramidTNT."""

from typing import Any

import keras

from keras_tnt.layers.base import TNTLayer, pad_image
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class PatchMerging(TNTLayer):
    """Halve the patch grid (arXiv 2201.00978, section 2.2).

    The layer applies LayerNorm and a 3x3 convolution of stride 2, zero-padded by 1. An
    odd number of rows or columns is rounded up.

    Shapes: ``(batch, rows, columns, channels)`` to
    ``(batch, rows / 2, columns / 2, dim)``.

    Args:
        dim: width of a merged patch.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        patches: floating-point tensor ``(batch, rows, columns, channels)``.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import PatchMerging
        >>> PatchMerging(dim=256)(keras.ops.ones((2, 8, 7, 128))).shape
        TensorShape([2, 4, 4, 256])
    """

    def __init__(self, dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        check_counts(dim=dim)
        self.dim = dim
        self.norm = self._norm("norm")
        self.convolution = self._convolution(dim, "convolution", strides=2)

    def build(self, patches_shape: Shape) -> None:
        self.norm.build(patches_shape)
        self.convolution.build((None, None, None, patches_shape[-1]))

    def call(self, patches: Tensor) -> Tensor:
        return self.convolution(pad_image(self.norm(patches)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim}
