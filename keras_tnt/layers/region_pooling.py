"""Means over the regions of a map."""

from typing import Any

import keras
from keras import ops

from keras_tnt.layers.base import TNTLayer, sizes
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class RegionPooling(TNTLayer):
    """Divide a map into equal regions, and take the mean of each.

    `keras.layers.AdaptiveAveragePooling2D` does the same for maps of a static size. Of
    ``n`` rows, region ``i`` of ``bins`` has those from ``floor(i · n / bins)`` to
    ``ceil((i + 1) · n / bins)``, so regions overlap where the number is no multiple.

    Shapes: ``(batch, rows, columns, dim)`` to ``(batch, bins, bins, dim)``. Rows and
    columns may be open.

    Args:
        bins: number of regions in a row, and in a column.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        maps: floating-point tensor ``(batch, rows, columns, dim)``.

    Example:
        >>> import keras
        >>> from keras_tnt.layers.region_pooling import RegionPooling
        >>> RegionPooling(3)(keras.ops.ones((2, 6, 8, 48))).shape
        TensorShape([2, 3, 3, 48])
    """

    def __init__(self, bins: int, **kwargs: Any):
        super().__init__(**kwargs)
        check_counts(bins=bins)
        self.bins = bins
        self.built = True

    def compute_output_spec(self, maps: Tensor) -> keras.KerasTensor:
        """Return the Keras tensor of the outputs."""
        shape = (maps.shape[0], self.bins, self.bins, maps.shape[-1])
        return keras.KerasTensor(shape, self.compute_dtype)

    def call(self, maps: Tensor) -> Tensor:
        rows, columns, dim = sizes(maps)
        x = ops.matmul(self._means(rows), ops.reshape(maps, (-1, rows, columns * dim)))
        x = ops.reshape(x, (-1, columns, dim))
        x = ops.matmul(self._means(columns), x)
        return ops.reshape(x, (-1, self.bins, self.bins, dim))

    def _means(self, size):
        """The weights of the means along one axis, ``(bins, size)``."""
        bins = self.bins
        region = ops.expand_dims(ops.arange(bins, dtype="int32"), 1)
        place = ops.arange(size, dtype="int32")
        first, end = region * size // bins, ((region + 1) * size + bins - 1) // bins
        inside = ops.cast((place >= first) & (place < end), "float32")
        means = inside / ops.sum(inside, axis=1, keepdims=True)
        return ops.cast(means, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bins": self.bins}
