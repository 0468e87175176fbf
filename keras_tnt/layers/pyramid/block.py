"""PyramidTNT block: inner transformer, pixel projection, outer transformer."""

from typing import Any

import keras
from keras import ops

from keras_tnt.compat.rematerialization import rematerialize
from keras_tnt.layers import fused_ops
from keras_tnt.layers.base import sizes
from keras_tnt.layers.pixel_projection import PixelProjectionLayer
from keras_tnt.layers.pyramid.spatial_reduction_block import SpatialReductionBlock
from keras_tnt.layers.transformer_block import TransformerBlock
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class PyramidTNTBlock(PixelProjectionLayer):
    """A TNT block on a map of patches (arXiv 2201.00978, section 2.2).

    ``Y`` are the pixels and ``Z`` the patches; there is no class token.

    - Inner transformer: ``Y ← TransformerBlock(Y)``, attention between the pixels of
      one patch. Its norms are over all pixels of a patch together.
    - Pixel projection: ``Z ← Z + LN(Dense(LN(flatten(Y))))``, without bias.
    - Outer transformer: ``Z ← SpatialReductionBlock(Z)``, attention on the map.

    Shapes: pixels ``(batch, rows, columns, pixels, inner_dim)`` and patches
    ``(batch, rows, columns, outer_dim)`` to a pair of the same shapes. Rows and
    columns may be open, the other axes are static.

    Args:
        outer_num_heads: heads of the outer attention; must divide ``outer_dim``.
        inner_num_heads: heads of the inner attention; must divide ``inner_dim``.
        sr_ratio: window size and stride of the pooling of outer keys and values.
        mlp_ratio: width of the hidden layers of both MLPs relative to their tokens.
        drop_path_rate: probability of dropping a branch, drawn for each patch in the
            inner and for each image in the outer transformer. The pixel projection is
            never dropped.
        remat: whether to recompute the block in the backward pass of training, instead
            of keeping its intermediate results in memory.
        qkv_bias: whether query, key and value have biases.
        se_ratio: ratio of a `SqueezeExcitation` after the outer MLP; 0 for none.
        dropout_rate: dropout of attention outputs and MLPs, 0 to 1.
        attention_dropout_rate: dropout of the attention scores, 0 to 1.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        pixels: floating-point tensor ``(batch, rows, columns, pixels, inner_dim)``.
        patches: floating-point tensor ``(batch, rows, columns, outer_dim)``.
        position_bias: floating-point tensor ``(1, outer_num_heads, patches, pooled
            patches)``.
        training: whether dropout and drop path are active.
        return_attention_scores: whether to return ``(pixels, patches, inner_scores,
            outer_scores)``. Their shapes are ``(batch, patches, inner_num_heads,
            pixels, pixels)`` and ``(batch, outer_num_heads, patches, pooled
            patches)``.

    Raises:
        ValueError: if the two inputs do not have the same rows and columns.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import PyramidTNTBlock
        >>> block = PyramidTNTBlock(outer_num_heads=4, inner_num_heads=2, sr_ratio=2)
        >>> pixels, patches = block(
        ...     keras.ops.ones((2, 8, 6, 16, 8)),
        ...     keras.ops.ones((2, 8, 6, 64)),
        ...     keras.ops.zeros((1, 4, 8 * 6, 4 * 3)),
        ... )
        >>> pixels.shape, patches.shape
        (TensorShape([2, 8, 6, 16, 8]), TensorShape([2, 8, 6, 64]))
    """

    def __init__(
        self,
        outer_num_heads: int,
        inner_num_heads: int,
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
        self.outer_num_heads = outer_num_heads
        self.inner_num_heads = inner_num_heads
        self.sr_ratio = sr_ratio
        self.mlp_ratio = mlp_ratio
        self.drop_path_rate = drop_path_rate
        self.remat = remat
        self.qkv_bias = qkv_bias
        self.se_ratio = se_ratio
        self.dropout_rate = dropout_rate
        self.attention_dropout_rate = attention_dropout_rate
        common: dict[str, Any] = {
            "mlp_ratio": mlp_ratio,
            "qkv_bias": qkv_bias,
            "dropout_rate": dropout_rate,
            "attention_dropout_rate": attention_dropout_rate,
            "drop_path_rate": drop_path_rate,
        }
        self.inner = TransformerBlock(
            inner_num_heads, norm_over_tokens=True, **common, **self._sublayer("inner")
        )
        self._create_pixel_projection()
        self.outer = SpatialReductionBlock(
            outer_num_heads,
            sr_ratio,
            se_ratio=se_ratio,
            **common,
            **self._sublayer("outer"),
        )

    def build(
        self, pixels_shape: Shape, patches_shape: Shape, position_bias_shape: Shape
    ) -> None:
        *grid, per_patch, inner_dim = pixels_shape
        if tuple(grid[1:]) != tuple(patches_shape[1:-1]):
            raise ValueError(
                f"{self.name}: pixels and patches must have the same rows and columns, "
                f"got shapes {tuple(pixels_shape)} and {tuple(patches_shape)}."
            )
        self.inner.build((None, per_patch, inner_dim))
        self._build_pixel_projection(per_patch * inner_dim, patches_shape[-1])
        self.outer.build(patches_shape, position_bias_shape)

    def call(
        self,
        pixels: Tensor,
        patches: Tensor,
        position_bias: Tensor,
        training: bool | None = None,
        return_attention_scores: bool = False,
    ) -> tuple[Tensor, ...]:
        if self.remat and training and not return_attention_scores:
            patches, pixels = rematerialize(
                self, self._train, pixels, patches, position_bias
            )
            return pixels, patches
        results = self._apply(pixels, patches, position_bias, training)
        return results if return_attention_scores else results[:2]

    def _train(self, *inputs):
        # Patches first: the pixels of the last block do not contribute to the loss.
        pixels, patches, *_ = self._apply(*inputs, training=True)
        return patches, pixels

    def _apply(self, pixels, patches, position_bias, training):
        """Return pixels, patches, inner and outer attention scores."""
        rows, columns, per_patch, inner_dim = sizes(pixels)
        pixels = ops.reshape(pixels, (-1, per_patch, inner_dim))
        with fused_ops.parts_per_image(rows * columns):
            pixels, inner_scores = self.inner(
                pixels, training=training, return_attention_scores=True
            )
            projected = self._project_pixels(pixels, training)
        patches = patches + ops.reshape(
            projected, (-1, rows, columns, patches.shape[-1])
        )
        pixels = ops.reshape(pixels, (-1, rows, columns, per_patch, inner_dim))
        patches, outer_scores = self.outer(
            patches, position_bias, training=training, return_attention_scores=True
        )
        shape = (-1, rows * columns, self.inner_num_heads, per_patch, per_patch)
        return pixels, patches, ops.reshape(inner_scores, shape), outer_scores

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "outer_num_heads": self.outer_num_heads,
            "inner_num_heads": self.inner_num_heads,
            "sr_ratio": self.sr_ratio,
            "mlp_ratio": self.mlp_ratio,
            "drop_path_rate": self.drop_path_rate,
            "remat": self.remat,
            "qkv_bias": self.qkv_bias,
            "se_ratio": self.se_ratio,
            "dropout_rate": self.dropout_rate,
            "attention_dropout_rate": self.attention_dropout_rate,
        }
