"""TNT block: inner transformer, pixel projection, outer transformer."""

from typing import Any

import keras
from keras import ops

from keras_tnt.compat.rematerialization import rematerialize
from keras_tnt.layers import fused_ops
from keras_tnt.layers.base import sizes
from keras_tnt.layers.pixel_projection import PixelProjectionLayer
from keras_tnt.layers.transformer_block import TransformerBlock
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTBlock(PixelProjectionLayer):
    """Transformer in Transformer block (paper, section 2.2, equations 6 to 10).

    ``Y`` are the pixels and ``Z`` the patch tokens; the first is the class token.

    - Inner transformer: ``Y ← TransformerBlock(Y)``, attention between the pixels of
      one patch.
    - Pixel projection: ``Z[1:] ← Z[1:] + LN(Dense(LN(flatten(Y))))``, without bias. The
      class token is not changed.
    - Outer transformer: ``Z ← TransformerBlock(Z)``, attention between all tokens.

    Shapes: pixels ``(batch, patches, pixels, inner_dim)`` and patches
    ``(batch, 1 + patches, outer_dim)`` to a pair of the same shapes. The number of
    patches may be open, the axes behind it are static.

    Args:
        outer_num_heads: heads of the outer attention; must divide ``outer_dim``.
        inner_num_heads: heads of the inner attention; must divide ``inner_dim``.
        mlp_ratio: width of the hidden layers of both MLPs relative to their tokens.
        qkv_bias: whether query, key and value have biases.
        se_ratio: ratio of the outer `SqueezeExcitation`; 0 for none.
        dropout_rate: dropout of attention outputs and MLPs, 0 to 1.
        attention_dropout_rate: dropout of the attention scores, 0 to 1.
        drop_path_rate: probability of dropping a branch, drawn for each patch in the
            inner and for each image in the outer transformer. The pixel projection is
            never dropped.
        remat: whether to recompute the block in the backward pass of training, instead
            of keeping its intermediate results in memory.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        pixels: floating-point tensor ``(batch, patches, pixels, inner_dim)``.
        patches: floating-point tensor ``(batch, 1 + patches, outer_dim)``.
        training: whether dropout and drop path are active.
        return_attention_scores: whether to return ``(pixels, patches, inner_scores,
            outer_scores)``. Their shapes are ``(batch, patches, inner_num_heads,
            pixels, pixels)`` and ``(batch, outer_num_heads, 1 + patches,
            1 + patches)``.
        num_queries: number of patch tokens, from the first on, whose outputs and scores
            are computed; 1 for the class token alone, all by default.

    Raises:
        ValueError: if the two inputs do not have the same number of patches.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import TNTBlock
        >>> block = TNTBlock(outer_num_heads=3, inner_num_heads=4)
        >>> pixels, patches = block(
        ...     keras.ops.ones((2, 8, 16, 12)), keras.ops.ones((2, 9, 48))
        ... )
        >>> pixels.shape, patches.shape
        (TensorShape([2, 8, 16, 12]), TensorShape([2, 9, 48]))
    """

    keeps_shapes = True

    def __init__(
        self,
        outer_num_heads: int,
        inner_num_heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = False,
        se_ratio: float = 0.0,
        dropout_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        remat: bool = False,
        attention_dropout_rate: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.outer_num_heads = outer_num_heads
        self.inner_num_heads = inner_num_heads
        self.mlp_ratio = mlp_ratio
        self.qkv_bias = qkv_bias
        self.se_ratio = se_ratio
        self.dropout_rate = dropout_rate
        self.drop_path_rate = drop_path_rate
        self.remat = remat
        self.attention_dropout_rate = attention_dropout_rate
        common: dict[str, Any] = {
            "mlp_ratio": mlp_ratio,
            "qkv_bias": qkv_bias,
            "dropout_rate": dropout_rate,
            "attention_dropout_rate": attention_dropout_rate,
            "drop_path_rate": drop_path_rate,
        }
        self.inner = TransformerBlock(
            inner_num_heads, **common, **self._sublayer("inner")
        )
        self._create_pixel_projection()
        self.outer = TransformerBlock(
            outer_num_heads, se_ratio=se_ratio, **common, **self._sublayer("outer")
        )

    def build(self, pixels_shape: Shape, patches_shape: Shape) -> None:
        batch, num_patches, per_patch, inner_dim = pixels_shape
        _, tokens, outer_dim = patches_shape
        if num_patches is not None and tokens != 1 + num_patches:
            raise ValueError(
                f"{self.name}: expected the class token and one token for each of the "
                f"{num_patches} patches, got {tokens} tokens."
            )
        self.inner.build((None, per_patch, inner_dim))
        self._build_pixel_projection(per_patch * inner_dim, outer_dim)
        self.outer.build((batch, tokens, outer_dim))

    def call(
        self,
        pixels: Tensor,
        patches: Tensor,
        training: bool | None = None,
        return_attention_scores: bool = False,
        num_queries: int | None = None,
    ) -> tuple[Tensor, ...]:
        if self.remat and training and not return_attention_scores:

            def train(pixels, patches):
                results = self._apply(pixels, patches, True, num_queries)
                # Patches first: the pixels of the last block have no gradient.
                return results[1], results[0]

            patches, pixels = rematerialize(self, train, pixels, patches)
            return pixels, patches
        results = self._apply(pixels, patches, training, num_queries)
        return results if return_attention_scores else results[:2]

    def _apply(self, pixels, patches, training, num_queries):
        """Return pixels, patches, inner and outer attention scores."""
        num_patches, per_patch, inner_dim = sizes(pixels)
        pixels = ops.reshape(pixels, (-1, per_patch, inner_dim))
        with fused_ops.parts_per_image(num_patches):
            pixels, inner_scores = self.inner(
                pixels, training=training, return_attention_scores=True
            )
            projected = self._project_pixels(pixels, training)
        projected = ops.reshape(projected, (-1, num_patches, patches.shape[-1]))
        # Zeros for the class token, which comes first.
        patches = patches + ops.pad(projected, ((0, 0), (1, 0), (0, 0)))
        pixels = ops.reshape(pixels, (-1, num_patches, per_patch, inner_dim))
        patches, outer_scores = self.outer(
            patches,
            training=training,
            return_attention_scores=True,
            num_queries=num_queries,
        )
        shape = (-1, num_patches, self.inner_num_heads, per_patch, per_patch)
        return pixels, patches, ops.reshape(inner_scores, shape), outer_scores

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "outer_num_heads": self.outer_num_heads,
            "inner_num_heads": self.inner_num_heads,
            "mlp_ratio": self.mlp_ratio,
            "qkv_bias": self.qkv_bias,
            "se_ratio": self.se_ratio,
            "dropout_rate": self.dropout_rate,
            "drop_path_rate": self.drop_path_rate,
            "remat": self.remat,
            "attention_dropout_rate": self.attention_dropout_rate,
        }
