"""Spatial-reduction attention: keys and values come from a pooled map."""

from typing import Any

import keras
from keras import ops

from keras_tnt.compat.operations import softmax
from keras_tnt.layers import fused_ops
from keras_tnt.layers.base import TNTLayer, sizes
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class SpatialReductionAttention(TNTLayer):
    """Attention with fewer keys than queries (arXiv 2201.00978, section 2.2).

    Each head computes ``softmax(q kᵀ / sqrt(head_dim) + bias) v``. The heads are
    concatenated and projected. Queries come from all patches. Keys and values come
    from the patches after average pooling by ``sr_ratio``, Dense and LayerNorm; these
    three are left out if the ratio is 1. The output projection has a bias.

    Shapes: ``(batch, rows, columns, dim)`` to the same; ``dim`` is static.

    Args:
        num_heads: number of heads; must divide ``dim``.
        sr_ratio: window size and stride of the pooling. Rows and columns that do not
            fill a window are ignored.
        qkv_bias: whether query, key and value have biases. The published models
            have none.
        dropout_rate: dropout after the output projection, 0 to 1.
        attention_dropout_rate: dropout of the attention scores, 0 to 1.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        patches: floating-point tensor ``(batch, rows, columns, dim)``.
        position_bias: floating-point tensor ``(1, num_heads, patches, pooled
            patches)``, both in row-major order.
        training: whether dropout is active.
        return_attention_scores: whether to return ``(outputs, scores)``. Scores,
            ``(batch, num_heads, patches, pooled patches)``, are the weights of the keys
            (last axis) for each query (third axis), before dropout; they sum to one
            over the keys.

    Raises:
        ValueError: if ``dim`` is not a multiple of ``num_heads``, the map is smaller
            than ``sr_ratio``, or the position bias has another shape.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import SpatialReductionAttention
        >>> attention = SpatialReductionAttention(num_heads=4, sr_ratio=2)
        >>> bias = keras.ops.zeros((1, 4, 8 * 6, 4 * 3))
        >>> attention(keras.ops.ones((2, 8, 6, 64)), bias).shape
        TensorShape([2, 8, 6, 64])
    """

    def __init__(
        self,
        num_heads: int,
        sr_ratio: int = 1,
        qkv_bias: bool = False,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_counts(num_heads=num_heads, sr_ratio=sr_ratio)
        self.num_heads = num_heads
        self.sr_ratio = sr_ratio
        self.qkv_bias = qkv_bias
        self.dropout_rate = dropout_rate
        self.attention_dropout_rate = attention_dropout_rate
        self.dropout = self._dropout(dropout_rate, "dropout")
        self.attention_dropout = self._dropout(
            attention_dropout_rate, "attention_dropout"
        )

    def build(self, patches_shape: Shape, position_bias_shape: Shape) -> None:
        _, rows, columns, dim = patches_shape
        if dim % self.num_heads:
            raise ValueError(
                f"{self.name}: the width of the patches must be a multiple of "
                f"num_heads, got width {dim} and num_heads={self.num_heads}."
            )
        if rows is not None and columns is not None:
            self._check_map(rows, columns, position_bias_shape)
        self.query = self._dense(dim, "query", use_bias=self.qkv_bias)
        self.key_value = self._dense(2 * dim, "key_value", use_bias=self.qkv_bias)
        self.projection = self._dense(dim, "projection")
        layers = [self.query, self.key_value, self.projection]
        if self.sr_ratio > 1:
            self.reduction_dense = self._dense(dim, "reduction_dense")
            self.reduction_norm = self._norm("reduction_norm")
            layers += [self.reduction_dense, self.reduction_norm]
        for layer in layers:
            layer.build((None, dim))

    def _check_map(self, rows, columns, position_bias_shape):
        if min(rows, columns) < self.sr_ratio:
            raise ValueError(
                f"{self.name}: sr_ratio={self.sr_ratio} needs at least as many rows "
                f"and columns of patches, got {rows}x{columns}. Use larger images."
            )
        expected = (self.num_heads, rows * columns, self._keys(rows, columns))
        if tuple(position_bias_shape[1:]) != expected:
            raise ValueError(
                f"{self.name}: expected a position bias of shape {(1, *expected)}, got "
                f"{tuple(position_bias_shape)}."
            )

    def _keys(self, rows, columns):
        return (rows // self.sr_ratio) * (columns // self.sr_ratio)

    def call(
        self,
        patches: Tensor,
        position_bias: Tensor,
        training: bool | None = None,
        return_attention_scores: bool = False,
    ) -> Tensor:
        rows, columns, dim = sizes(patches)
        heads = (self.num_heads, dim // self.num_heads)
        # Patches as rows: the CPU backend fuses a Dense only if its input has rank 2.
        query = self.query(ops.reshape(patches, (-1, dim)))
        query = ops.reshape(query, (-1, rows * columns, *heads))
        query = ops.transpose(query, (0, 2, 1, 3))
        key_value = self.key_value(self._reduce(patches, training))
        key_value = ops.reshape(key_value, (-1, self._keys(rows, columns), 2, *heads))
        key, value = ops.unstack(ops.transpose(key_value, (2, 0, 3, 1, 4)), 2, axis=0)
        scores = ops.matmul(query * heads[1] ** -0.5, ops.transpose(key, (0, 1, 3, 2)))
        scores = scores + ops.cast(position_bias, scores.dtype)
        # The last stage of a small image has a single key.
        scores = softmax(scores)
        weights = self.attention_dropout(scores, training=training)
        outputs = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        outputs = self.projection(ops.reshape(outputs, (-1, dim)))
        outputs = self.dropout(outputs, training=training)
        outputs = ops.reshape(outputs, (-1, rows, columns, dim))
        return (outputs, scores) if return_attention_scores else outputs

    def _reduce(self, patches, training):
        """Return the pooled patches as rows, the inputs of keys and values."""
        rows, columns, dim = sizes(patches)
        ratio = self.sr_ratio
        if ratio == 1:
            return ops.reshape(patches, (-1, dim))
        pooled = ops.average_pool(patches, ratio, ratio, data_format="channels_last")
        reduced = self.reduction_dense(ops.reshape(pooled, (-1, dim)))
        with fused_ops.parts_per_image(self._keys(rows, columns)):
            return self.reduction_norm(reduced, training=training)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "sr_ratio": self.sr_ratio,
            "qkv_bias": self.qkv_bias,
            "dropout_rate": self.dropout_rate,
            "attention_dropout_rate": self.attention_dropout_rate,
        }
