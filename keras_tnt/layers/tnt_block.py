"""One TNT block: attention inside the patches, fold, attention over them."""

from typing import Any

import keras
from keras import ops

from keras_tnt.compat.rematerialization import rematerialize
from keras_tnt.layers.pixel_projection import PixelProjectionLayer
from keras_tnt.layers.transformer_block import TransformerBlock
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTBlock(PixelProjectionLayer):
    """Transformer in Transformer block (paper, section 2.2, equations 3 to 6).

    With pixels ``Y`` and patch tokens ``Z``, whose first is the class token:

    - inner: ``Y ← TransformerBlock(Y)``, attention among the pixels of one patch;
    - fold: ``Z[1:] ← Z[1:] + LN(Dense(LN(flatten(Y))))``, without bias; the class
      token gets nothing;
    - outer: ``Z ← TransformerBlock(Z)``, attention among all tokens.

    Shapes: pixels ``(batch, patches, pixels, inner_dim)`` and patches
    ``(batch, 1 + patches, outer_dim)`` to a pair of the same shapes. All but the
    batch is static.

    Args:
        outer_num_heads: heads of the outer attention; must divide ``outer_dim``.
        inner_num_heads: heads of the inner attention; must divide ``inner_dim``.
        mlp_ratio: width of both perceptrons' hidden layers relative to their tokens.
        qkv_bias: whether query, key and value have biases.
        se_ratio: hidden share of the outer `SqueezeExcitation`; 0 for none.
        dropout_rate: dropout of attention outputs and perceptrons, 0 to 1.
        drop_path_rate: probability of leaving out a branch, drawn for each patch
            inside and for each image outside; the fold is never left out.
        remat: whether training recomputes the block in the backward pass instead of
            keeping its intermediate results in memory.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        pixels: floating-point tensor ``(batch, patches, pixels, inner_dim)``.
        patches: floating-point tensor ``(batch, 1 + patches, outer_dim)``.
        training: whether dropout and drop path are active.
        return_attention_scores: whether to return ``(pixels, patches, inner_scores,
            outer_scores)``, scores of shape ``(batch, patches, inner_num_heads,
            pixels, pixels)`` and ``(batch, outer_num_heads, 1 + patches,
            1 + patches)``.

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
        common = {
            "mlp_ratio": mlp_ratio,
            "qkv_bias": qkv_bias,
            "dropout_rate": dropout_rate,
            "drop_path_rate": drop_path_rate,
            "dtype": self.dtype_policy,
        }
        self.inner = TransformerBlock(inner_num_heads, name="inner", **common)
        self._create_pixel_projection()
        self.outer = TransformerBlock(
            outer_num_heads, se_ratio=se_ratio, name="outer", **common
        )

    def build(self, pixels_shape: Shape, patches_shape: Shape) -> None:
        """Creates the weights for the two inputs' shapes."""
        batch, num_patches, per_patch, inner_dim = pixels_shape
        _, tokens, outer_dim = patches_shape
        if tokens != 1 + num_patches:
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
    ) -> tuple[Tensor, ...]:
        """Applies the block; see the class for shapes."""
        if self.remat and training and not return_attention_scores:
            patches, pixels = rematerialize(self, self._train, pixels, patches)
            return pixels, patches
        results = self._apply(pixels, patches, training)
        return results if return_attention_scores else results[:2]

    def _train(self, pixels, patches):
        # The patches come first: after the last block nobody uses the pixels.
        pixels, patches, *_ = self._apply(pixels, patches, training=True)
        return patches, pixels

    def _apply(self, pixels, patches, training):
        """Pixels, patches, inner and outer attention scores."""
        _, num_patches, per_patch, inner_dim = pixels.shape
        pixels = ops.reshape(pixels, (-1, per_patch, inner_dim))
        pixels, inner_scores = self.inner(
            pixels, training=training, return_attention_scores=True
        )
        folded = self._project_pixels(pixels, training)
        folded = ops.reshape(folded, (-1, num_patches, patches.shape[-1]))
        # The class token, which comes first, gets nothing.
        patches = patches + ops.pad(folded, ((0, 0), (1, 0), (0, 0)))
        pixels = ops.reshape(pixels, (-1, num_patches, per_patch, inner_dim))
        patches, outer_scores = self.outer(
            patches, training=training, return_attention_scores=True
        )
        shape = (-1, num_patches, self.inner_num_heads, per_patch, per_patch)
        return pixels, patches, ops.reshape(inner_scores, shape), outer_scores

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
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
        }
