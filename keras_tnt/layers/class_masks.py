"""A mask for each class, from class tokens and maps."""

from typing import Any

import keras
from keras import ops

from keras_tnt.layers.base import TNTLayer, pad_image, sizes
from keras_tnt.layers.resize_like import ResizeLike
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class ClassMasks(TNTLayer):
    """Turn the attention of class tokens to a map into logits of masks.

    As in Trans2Seg (arXiv 2101.08461, section 3.4): every class has a map of its
    attention scores for each head. The maps are convolved, enlarged, added to a map of
    finer details, and convolved to one logit a pixel. All classes share the weights.

    Shapes: class tokens ``(batch, classes, dim)``, maps ``(batch, rows, columns, dim)``
    and details ``(batch, height, width, channels)`` to logits ``(batch, height, width,
    classes)``. Sizes of maps and details may be open.

    Args:
        num_heads: number of heads; must divide ``dim``.
        mask_dim: channels of the convolutions.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        classes: floating-point tensor ``(batch, classes, dim)``.
        maps: floating-point tensor ``(batch, rows, columns, dim)``.
        details: floating-point tensor ``(batch, height, width, channels)``.

    Raises:
        ValueError: if ``dim`` is not a multiple of ``num_heads``.

    Example:
        >>> import keras
        >>> from keras_tnt.layers.class_masks import ClassMasks
        >>> ones = keras.ops.ones
        >>> masks = ClassMasks(num_heads=3, mask_dim=8)
        >>> masks(ones((2, 5, 48)), ones((2, 4, 6, 48)), ones((2, 8, 12, 16))).shape
        TensorShape([2, 8, 12, 5])
    """

    def __init__(self, num_heads: int, mask_dim: int = 32, **kwargs: Any):
        super().__init__(**kwargs)
        check_counts(num_heads=num_heads, mask_dim=mask_dim)
        self.num_heads = num_heads
        self.mask_dim = mask_dim

    def build(
        self, classes_shape: Shape, maps_shape: Shape, details_shape: Shape
    ) -> None:
        dim = classes_shape[-1]
        if dim % self.num_heads:
            raise ValueError(
                f"{self.name}: the width of the tokens must be a multiple of "
                f"num_heads, got width {dim} and num_heads={self.num_heads}."
            )
        self.query = self._dense(dim, "query")
        self.query.build((None, dim))
        self.key = self._dense(dim, "key")
        self.key.build((None, maps_shape[-1]))
        self.score_convolution = self._convolution(self.mask_dim, "score_convolution")
        self.score_convolution.build((None, None, None, self.num_heads))
        self.details_projection = self._dense(self.mask_dim, "details_projection")
        self.details_projection.build((None, details_shape[-1]))
        self.mask_convolution = self._convolution(self.mask_dim, "mask_convolution")
        self.mask_convolution.build((None, None, None, self.mask_dim))
        self.mask = self._dense(1, "mask")
        self.mask.build((None, self.mask_dim))
        self.resize = ResizeLike(**self._sublayer("resize"))

    def call(self, classes: Tensor, maps: Tensor, details: Tensor) -> Tensor:
        number, _ = sizes(classes)
        height, width, _ = sizes(details)
        x = pad_image(self._scores(classes, maps))
        x = ops.relu(self.score_convolution(x))
        x = self.resize(x, details)
        fine = ops.expand_dims(self.details_projection(details), 1)
        shape = (-1, number, height, width, self.mask_dim)
        x = ops.relu(ops.reshape(x, shape) + fine)
        x = ops.reshape(x, (-1, height, width, self.mask_dim))
        x = ops.relu(self.mask_convolution(pad_image(x)))
        x = ops.reshape(self.mask(x), (-1, number, height, width))
        return ops.transpose(x, (0, 2, 3, 1))

    def _scores(self, classes, maps):
        """Attention scores, ``(batch · classes, rows, columns, heads)``."""
        number, dim = sizes(classes)
        rows, columns, _ = sizes(maps)
        head_dim = dim // self.num_heads
        query = self.query(classes) * head_dim**-0.5
        query = ops.reshape(query, (-1, number, self.num_heads, head_dim))
        key = ops.reshape(
            self.key(maps), (-1, rows * columns, self.num_heads, head_dim)
        )
        scores = ops.matmul(
            ops.transpose(query, (0, 2, 1, 3)), ops.transpose(key, (0, 2, 3, 1))
        )
        scores = ops.transpose(scores, (0, 2, 3, 1))
        return ops.reshape(scores, (-1, rows, columns, self.num_heads))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mask_dim": self.mask_dim,
        }
