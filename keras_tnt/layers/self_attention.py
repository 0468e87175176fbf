"""Multi-head self-attention with one fused query/key/value projection."""

from typing import Any

import keras
from keras import ops

from keras_tnt.layers.base import TNTLayer, sizes
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class SelfAttention(TNTLayer):
    """Multi-head self-attention (paper, section 2.1, equation 1).

    Each head computes ``softmax(q kᵀ / sqrt(head_dim)) v``. The heads are concatenated
    and projected. One `Dense` sublayer, ``qkv``, computes queries, keys and values: its
    columns are all queries, then all keys, then all values, each ordered by head. The
    output projection, ``projection``, always has a bias.

    Shapes: ``(batch, tokens, dim)`` to the same; ``dim`` is static.

    Args:
        num_heads: number of heads; must divide ``dim``.
        qkv_bias: whether query, key and value have biases. The published models
            have none.
        dropout_rate: dropout after the output projection, 0 to 1.
        attention_dropout_rate: dropout of the attention scores, 0 to 1.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: floating-point tensor ``(batch, tokens, dim)``.
        training: whether dropout is active.
        return_attention_scores: whether to return ``(outputs, scores)``. Scores,
            ``(batch, num_heads, tokens, tokens)``, are the weights of the keys (last
            axis) for each query (third axis), before dropout; they sum to one over
            the keys.
        num_queries: number of tokens, from the first on, whose outputs and scores are
            computed; all by default. Keys and values are those of all tokens.

    Raises:
        ValueError: if ``dim`` is not a multiple of ``num_heads``, or there are fewer
            tokens than ``num_queries``.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import SelfAttention
        >>> SelfAttention(num_heads=3)(keras.ops.ones((2, 17, 48))).shape
        TensorShape([2, 17, 48])
    """

    def __init__(
        self,
        num_heads: int,
        qkv_bias: bool = False,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_counts(num_heads=num_heads)
        self.num_heads = num_heads
        self.qkv_bias = qkv_bias
        self.dropout_rate = dropout_rate
        self.attention_dropout_rate = attention_dropout_rate
        self.dropout = self._dropout(dropout_rate, "dropout")
        self.attention_dropout = self._dropout(
            attention_dropout_rate, "attention_dropout"
        )

    def build(self, input_shape: Shape) -> None:
        dim = input_shape[-1]
        if dim % self.num_heads:
            raise ValueError(
                f"{self.name}: the width of the tokens must be a multiple of "
                f"num_heads, got width {dim} and num_heads={self.num_heads}."
            )
        self.qkv = self._dense(3 * dim, "qkv", use_bias=self.qkv_bias)
        self.qkv.build((None, dim))
        self.projection = self._dense(dim, "projection")
        self.projection.build((None, dim))

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        return_attention_scores: bool = False,
        num_queries: int | None = None,
    ) -> Tensor:
        tokens, dim = sizes(inputs)
        queries = tokens if num_queries is None else num_queries
        if isinstance(tokens, int) and not 0 < queries <= tokens:
            raise ValueError(
                f"num_queries must be from 1 to the {tokens} tokens, got {queries}."
            )
        head_dim = dim // self.num_heads
        # Tokens as rows: the CPU backend fuses a Dense only if its input has rank 2.
        qkv = self.qkv(ops.reshape(inputs, (-1, dim)))
        qkv = ops.reshape(qkv, (-1, tokens, 3, self.num_heads, head_dim))
        query, key, value = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 3, axis=0)
        if num_queries is not None:
            query = query[:, :, :queries]
        scores = ops.matmul(query * head_dim**-0.5, ops.transpose(key, (0, 1, 3, 2)))
        scores = ops.softmax(scores, axis=-1)
        weights = self.attention_dropout(scores, training=training)
        heads = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        outputs = self.projection(ops.reshape(heads, (-1, dim)))
        outputs = self.dropout(outputs, training=training)
        outputs = ops.reshape(outputs, (-1, queries, dim))
        return (outputs, scores) if return_attention_scores else outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "qkv_bias": self.qkv_bias,
            "dropout_rate": self.dropout_rate,
            "attention_dropout_rate": self.attention_dropout_rate,
        }
