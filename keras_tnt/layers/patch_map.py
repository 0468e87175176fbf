"""Patches as a map, for images of a size that is known when a graph runs."""

from typing import Any

import keras
from keras import ops

from keras_tnt.layers.base import TNTLayer, count_patches, sizes
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class PatchMap(TNTLayer):
    """Arrange the patches of an image of any size as rows and columns.

    Shapes: ``(batch, patches, dim)`` to ``(batch, rows, columns, dim)``; ``dim`` is
    static.

    Args:
        patch_size: side of a square patch in image pixels.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        patches: floating-point tensor ``(batch, patches, dim)``.
        images: tensor ``(batch, height, width, channels)`` that the patches come from,
            for its size alone. A part of a patch counts as one.

    Example:
        >>> import keras
        >>> from keras_tnt.layers.patch_map import PatchMap
        >>> PatchMap()(keras.ops.ones((2, 6, 48)), keras.ops.ones((2, 32, 40, 3))).shape
        TensorShape([2, 2, 3, 48])
    """

    def __init__(self, patch_size: int = 16, **kwargs: Any):
        super().__init__(**kwargs)
        check_counts(patch_size=patch_size)
        self.patch_size = patch_size
        self.built = True

    def compute_output_spec(self, patches: Tensor, images: Tensor) -> keras.KerasTensor:
        """Return the Keras tensor of the outputs."""
        grid = [
            side and count_patches(side, self.patch_size) for side in images.shape[1:3]
        ]
        shape = (patches.shape[0], *grid, patches.shape[-1])
        return keras.KerasTensor(shape, self.compute_dtype)

    def call(self, patches: Tensor, images: Tensor) -> Tensor:
        height, width, _ = sizes(images)
        rows, columns = (
            count_patches(side, self.patch_size) for side in (height, width)
        )
        return ops.reshape(patches, (-1, rows, columns, patches.shape[-1]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "patch_size": self.patch_size}
