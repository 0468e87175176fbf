"""Learned embeddings of classes, the queries of a segmentation decoder."""

from typing import Any

import keras
from keras import ops

from keras_tnt.layers.base import TNTLayer
from keras_tnt.layers.initializers import normal_initializer
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class ClassEmbedding(TNTLayer):
    """Return one learned token for each class (arXiv 2101.08461, section 3.3).

    Shapes: ``(batch, tokens, dim)`` to ``(batch, classes, dim)``.

    Args:
        classes: number of classes.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        tokens: floating-point tensor ``(batch, tokens, dim)``, for its batch and width
            alone.

    Example:
        >>> import keras
        >>> from keras_tnt.layers.class_embedding import ClassEmbedding
        >>> ClassEmbedding(5)(keras.ops.ones((2, 17, 48))).shape
        TensorShape([2, 5, 48])
    """

    def __init__(self, classes: int, **kwargs: Any):
        super().__init__(**kwargs)
        check_counts(classes=classes)
        self.classes = classes

    def build(self, input_shape: Shape) -> None:
        self.embeddings = self.add_weight(
            (self.classes, input_shape[-1]), normal_initializer(), name="embeddings"
        )

    def call(self, tokens: Tensor) -> Tensor:
        # A Keras layer that broadcasts needs no number of images.
        none = 0 * tokens[:, :1]
        return none + ops.cast(self.embeddings, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}
