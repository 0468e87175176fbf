"""Pre-norm transformer block, used as inner and as outer transformer."""

from typing import Any

import keras

from keras_tnt.compat.rematerialization import rematerialize
from keras_tnt.layers.base import TNTLayer
from keras_tnt.layers.feed_forward import FeedForward
from keras_tnt.layers.self_attention import SelfAttention
from keras_tnt.layers.squeeze_excitation import SqueezeExcitation
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class TransformerBlock(TNTLayer):
    """Pre-norm transformer block (paper, section 2.1).

    ``x ← x + DropPath(MSA(LN(x)))``, then ``x ← x + DropPath(MLP(LN(x)))``. Drop path
    (stochastic depth) drops the whole branch of a sequence, independently for each
    sequence. It scales the branches that are kept by ``1 / (1 - drop_path_rate)``.

    Shapes: ``(batch, tokens, dim)`` to the same; ``dim`` is static.

    Args:
        num_heads: number of attention heads; must divide ``dim``.
        mlp_ratio: width of the MLP's hidden layer as a multiple of ``dim``.
        qkv_bias: whether query, key and value have biases.
        se_ratio: ratio of a `SqueezeExcitation` after the MLP; 0 for none.
        dropout_rate: dropout of attention output and MLP, 0 to 1.
        attention_dropout_rate: dropout of the attention scores, 0 to 1.
        drop_path_rate: probability of dropping a branch, 0 to 1.
        remat: whether to recompute the block in the backward pass of training, instead
            of keeping its intermediate results in memory.
        norm_over_tokens: whether to normalize over all tokens of a sequence together,
            as in the inner transformers of PyramidTNT, instead of over each token.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: floating-point tensor ``(batch, tokens, dim)``.
        training: whether dropout and drop path are active.
        return_attention_scores: whether to return ``(outputs, scores)`` with scores
            of shape ``(batch, num_heads, tokens, tokens)``.
        num_queries: number of tokens, from the first on, whose outputs and scores are
            computed; all by default.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import TransformerBlock
        >>> TransformerBlock(num_heads=3)(keras.ops.ones((2, 17, 48))).shape
        TensorShape([2, 17, 48])
    """

    keeps_shapes = True

    def __init__(
        self,
        num_heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = False,
        se_ratio: float = 0.0,
        dropout_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        remat: bool = False,
        norm_over_tokens: bool = False,
        attention_dropout_rate: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.mlp_ratio = mlp_ratio
        self.qkv_bias = qkv_bias
        self.se_ratio = se_ratio
        self.dropout_rate = dropout_rate
        self.drop_path_rate = drop_path_rate
        self.remat = remat
        self.norm_over_tokens = norm_over_tokens
        self.attention_dropout_rate = attention_dropout_rate
        axis = (-2, -1) if norm_over_tokens else -1
        self.attention_norm = self._norm("attention_norm", axis)
        self.attention = SelfAttention(
            num_heads,
            qkv_bias,
            dropout_rate,
            attention_dropout_rate,
            **self._sublayer("attention"),
        )
        self.feed_forward_norm = self._norm("feed_forward_norm", axis)
        self.feed_forward = FeedForward(
            mlp_ratio, dropout_rate, **self._sublayer("feed_forward")
        )
        self.squeeze_excitation = (
            SqueezeExcitation(se_ratio, **self._sublayer("squeeze_excitation"))
            if se_ratio
            else None
        )
        # Drop path is dropout with one draw for a whole sequence.
        self.attention_drop_path = self._dropout(
            drop_path_rate, "attention_drop_path", (None, 1, 1)
        )
        self.feed_forward_drop_path = self._dropout(
            drop_path_rate, "feed_forward_drop_path", (None, 1, 1)
        )

    def build(self, input_shape: Shape) -> None:
        self.attention_norm.build(input_shape)
        self.attention.build(input_shape)
        self.feed_forward_norm.build(input_shape)
        self.feed_forward.build(input_shape)
        if self.squeeze_excitation:
            self.squeeze_excitation.build(input_shape)

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        return_attention_scores: bool = False,
        num_queries: int | None = None,
    ) -> Tensor:
        if self.remat and training and not return_attention_scores:
            return rematerialize(
                self, lambda x: self._apply(x, True, num_queries)[0], inputs
            )
        outputs, scores = self._apply(inputs, training, num_queries)
        return (outputs, scores) if return_attention_scores else outputs

    def _apply(self, inputs, training, num_queries):
        """Return the tokens and the attention scores."""
        needs_all = self.squeeze_excitation or self.norm_over_tokens
        if needs_all and num_queries is not None:
            outputs, scores = self._apply(inputs, training, None)
            return outputs[:, :num_queries], scores[:, :, :num_queries]
        x = self.attention_norm(inputs, training=training)
        attended, scores = self.attention(
            x, training=training, return_attention_scores=True, num_queries=num_queries
        )
        if num_queries is not None:
            inputs = inputs[:, :num_queries]
        x = inputs + self.attention_drop_path(attended, training=training)
        hidden = self.feed_forward_norm(x, training=training)
        hidden = self.feed_forward(hidden, training=training)
        if self.squeeze_excitation:
            hidden = self.squeeze_excitation(hidden, training=training)
        return x + self.feed_forward_drop_path(hidden, training=training), scores

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_ratio": self.mlp_ratio,
            "qkv_bias": self.qkv_bias,
            "se_ratio": self.se_ratio,
            "dropout_rate": self.dropout_rate,
            "drop_path_rate": self.drop_path_rate,
            "remat": self.remat,
            "norm_over_tokens": self.norm_over_tokens,
            "attention_dropout_rate": self.attention_dropout_rate,
        }
