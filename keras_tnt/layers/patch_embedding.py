"""Patch embedding: one token for each patch, class token and positions."""

from typing import Any

import keras
from keras import ops

from keras_tnt.layers import fused_ops
from keras_tnt.layers.base import TNTLayer
from keras_tnt.layers.initializers import normal_initializer
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class PatchEmbedding(TNTLayer):
    """Project the pixels of each patch to a token; add class token and positions.

    Each token is ``LN(Dense(LN(flatten(pixels))))``. The class token is prepended,
    learned position embeddings are added (paper, section 2.2, equation 12), and
    dropout follows. The paper's text initializes the tokens with zeros; this layer
    does what the published checkpoints do.

    Shapes: ``(batch, patches, pixels, inner_dim)`` to ``(batch, 1 + patches, dim)``.
    All axes but the batch are static.

    Args:
        dim: width of a patch token.
        dropout_rate: dropout of the tokens, 0 to 1.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        pixels: floating-point tensor ``(batch, patches, pixels, inner_dim)``.
        training: whether dropout is active.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import PatchEmbedding
        >>> PatchEmbedding(dim=384)(keras.ops.ones((2, 8, 16, 24))).shape
        TensorShape([2, 9, 384])
    """

    def __init__(self, dim: int, dropout_rate: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        check_counts(dim=dim)
        self.dim = dim
        self.dropout_rate = dropout_rate
        self.input_norm = self._norm("input_norm")
        self.projection = self._dense(dim, "projection")
        self.output_norm = self._norm("output_norm")
        self.dropout = self._dropout(dropout_rate, "dropout")

    def build(self, pixels_shape: Shape) -> None:
        _, patches, pixels, inner_dim = pixels_shape
        self.input_norm.build((None, pixels * inner_dim))
        # The path, which a map of policies needs, is not known before.
        self.projection.dtype_policy = self._sublayer("projection")["dtype"]
        self.projection.build((None, pixels * inner_dim))
        self.output_norm.build((None, self.dim))
        self.class_token = self.add_weight(
            shape=(1, 1, self.dim), initializer=normal_initializer(), name="class_token"
        )
        self.position_embedding = self.add_weight(
            shape=(1, 1 + patches, self.dim),
            initializer=normal_initializer(),
            name="position_embedding",
        )

    def call(self, pixels: Tensor, training: bool | None = None) -> Tensor:
        _, patches, per_patch, inner_dim = pixels.shape
        rows = ops.reshape(pixels, (-1, per_patch * inner_dim))
        with fused_ops.parts_per_image(patches):
            rows = self.output_norm(self.projection(self.input_norm(rows)))
        tokens = ops.reshape(rows, (-1, patches, self.dim))
        class_token = ops.broadcast_to(
            ops.cast(self.class_token, tokens.dtype),
            (ops.shape(tokens)[0], 1, self.dim),
        )
        tokens = ops.concatenate([class_token, tokens], axis=1)
        tokens = tokens + ops.cast(self.position_embedding, tokens.dtype)
        return self.dropout(tokens, training=training)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dim": self.dim,
            "dropout_rate": self.dropout_rate,
        }
