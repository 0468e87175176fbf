"""Pre-norm transformer block on a map of patches."""

from typing import Any

import keras
from keras import ops

from keras_tnt.compat.rematerialization import rematerialize
from keras_tnt.layers.base import TNTLayer, sizes
from keras_tnt.layers.feed_forward import FeedForward
from keras_tnt.layers.pyramid.spatial_reduction_attention import (
    SpatialReductionAttention,
)
from keras_tnt.layers.squeeze_excitation import SqueezeExcitation
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class SpatialReductionBlock(TNTLayer):
    """The outer transformer block of PyramidTNT (arXiv 2201.00978, section 2.2).

    ``x ← x + DropPath(SRA(LN(x)))``, then ``x ← x + DropPath(MLP(LN(x)))``. SRA is
    `SpatialReductionAttention`.

    Shapes: ``(batch, rows, columns, dim)`` to the same; ``dim`` is static.

    Args:
        num_heads: number of attention heads; must divide ``dim``.
        sr_ratio: window size and stride of the pooling of keys and values.
        mlp_ratio: width of the MLP's hidden layer as a multiple of ``dim``.
        drop_path_rate: probability of dropping a branch, drawn for each image.
        remat: whether to recompute the block in the backward pass of training, instead
            of keeping its intermediate results in memory.
        qkv_bias: whether query, key and value have biases.
        se_ratio: ratio of a `SqueezeExcitation` after the outer MLP; 0 for none.
        dropout_rate: dropout of attention outputs and MLPs, 0 to 1.
        attention_dropout_rate: dropout of the attention scores, 0 to 1.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        patches: floating-point tensor ``(batch, rows, columns, dim)``.
        position_bias: floating-point tensor ``(1, num_heads, patches, pooled
            patches)``.
        training: whether dropout and drop path are active.
        return_attention_scores: whether to return ``(outputs, scores)`` with scores
            of shape ``(batch, num_heads, patches, pooled patches)``.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import SpatialReductionBlock
        >>> block = SpatialReductionBlock(num_heads=4, sr_ratio=2)
        >>> bias = keras.ops.zeros((1, 4, 8 * 6, 4 * 3))
        >>> block(keras.ops.ones((2, 8, 6, 64)), bias).shape
        TensorShape([2, 8, 6, 64])
    """

    def __init__(
        self,
        num_heads: int,
        sr_ratio: int = 1,
        mlp_ratio: float = 4.0,
        drop_path_rate: float = 0.0,
        remat: bool = False,
        qkv_bias: bool = False,
        se_ratio: float = 0.0,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.sr_ratio = sr_ratio
        self.mlp_ratio = mlp_ratio
        self.drop_path_rate = drop_path_rate
        self.remat = remat
        self.qkv_bias = qkv_bias
        self.se_ratio = se_ratio
        self.dropout_rate = dropout_rate
        self.attention_dropout_rate = attention_dropout_rate
        self.attention_norm = self._norm("attention_norm")
        self.attention = SpatialReductionAttention(
            num_heads,
            sr_ratio,
            qkv_bias,
            dropout_rate,
            attention_dropout_rate,
            **self._sublayer("attention"),
        )
        self.feed_forward_norm = self._norm("feed_forward_norm")
        self.feed_forward = FeedForward(
            mlp_ratio, dropout_rate, **self._sublayer("feed_forward")
        )
        self.squeeze_excitation = (
            SqueezeExcitation(se_ratio, **self._sublayer("squeeze_excitation"))
            if se_ratio
            else None
        )
        self.attention_drop_path = self._dropout(
            drop_path_rate, "attention_drop_path", (None, 1, 1, 1)
        )
        self.feed_forward_drop_path = self._dropout(
            drop_path_rate, "feed_forward_drop_path", (None, 1, 1, 1)
        )

    def build(self, patches_shape: Shape, position_bias_shape: Shape) -> None:
        self.attention_norm.build(patches_shape)
        self.attention.build(patches_shape, position_bias_shape)
        self.feed_forward_norm.build(patches_shape)
        self.feed_forward.build(patches_shape)
        if self.squeeze_excitation:
            self.squeeze_excitation.build(patches_shape)

    def call(
        self,
        patches: Tensor,
        position_bias: Tensor,
        training: bool | None = None,
        return_attention_scores: bool = False,
    ) -> Tensor:
        if self.remat and training and not return_attention_scores:
            return rematerialize(
                self,
                lambda x, bias: self._apply(x, bias, True)[0],
                patches,
                position_bias,
            )
        outputs, scores = self._apply(patches, position_bias, training)
        return (outputs, scores) if return_attention_scores else outputs

    def _apply(self, patches, position_bias, training):
        """Return the patches and the attention scores."""
        x = self.attention_norm(patches, training=training)
        attended, scores = self.attention(
            x, position_bias, training=training, return_attention_scores=True
        )
        x = patches + self.attention_drop_path(attended, training=training)
        hidden = self.feed_forward_norm(x, training=training)
        hidden = self.feed_forward(hidden, training=training)
        if self.squeeze_excitation:
            rows, columns, dim = sizes(hidden)
            tokens = ops.reshape(hidden, (-1, rows * columns, dim))
            tokens = self.squeeze_excitation(tokens, training=training)
            hidden = ops.reshape(tokens, (-1, rows, columns, dim))
        return x + self.feed_forward_drop_path(hidden, training=training), scores

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "sr_ratio": self.sr_ratio,
            "mlp_ratio": self.mlp_ratio,
            "drop_path_rate": self.drop_path_rate,
            "remat": self.remat,
            "qkv_bias": self.qkv_bias,
            "se_ratio": self.se_ratio,
            "dropout_rate": self.dropout_rate,
            "attention_dropout_rate": self.attention_dropout_rate,
        }
