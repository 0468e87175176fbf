"""Patch embedding: one token for each patch, class token and positions."""

from typing import Any

import keras
from keras import ops

from keras_tnt.layers import fused_ops
from keras_tnt.layers.base import TNTLayer, count_patches, sizes
from keras_tnt.layers.initializers import normal_initializer
from keras_tnt.layers.position_resampling import resample_grid
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
    The number of patches is static without a native grid, the other axes always are.

    Args:
        dim: width of a patch token.
        dropout_rate: dropout of the tokens, 0 to 1.
        native_grid: ``(rows, columns)`` of the patches that the positions belong to, if
            they are resampled for images of any size; ``None`` for one static size.
        patch_size: side of a square patch in image pixels. Only resampling needs it.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        pixels: floating-point tensor ``(batch, patches, pixels, inner_dim)``.
        images: tensor ``(batch, height, width, channels)`` that the patches come from,
            for its size alone. Only resampling needs it.
        training: whether dropout is active.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import PatchEmbedding
        >>> PatchEmbedding(dim=384)(keras.ops.ones((2, 8, 16, 24))).shape
        TensorShape([2, 9, 384])
    """

    def __init__(
        self,
        dim: int,
        dropout_rate: float = 0.0,
        native_grid: tuple[int, int] | None = None,
        patch_size: int = 16,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_counts(dim=dim)
        check_counts(patch_size=patch_size)
        self.dim = dim
        self.dropout_rate = dropout_rate
        self.native_grid = native_grid and tuple(native_grid)
        self.patch_size = patch_size
        self.input_norm = self._norm("input_norm")
        self.projection = self._dense(dim, "projection")
        self.output_norm = self._norm("output_norm")
        self.dropout = self._dropout(dropout_rate, "dropout")

    def build(self, pixels_shape: Shape, images_shape: Shape | None = None) -> None:
        _, patches, pixels, inner_dim = pixels_shape
        if self.native_grid is not None:
            patches = self.native_grid[0] * self.native_grid[1]
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
            autocast=self.native_grid is None,
        )

    def compute_output_spec(
        self,
        pixels: Tensor,
        images: Tensor | None = None,
        training: bool | None = None,
    ) -> keras.KerasTensor:
        """Return the Keras tensor of the outputs."""
        batch, patches, *_ = pixels.shape
        shape = (batch, patches if patches is None else 1 + patches, self.dim)
        return keras.KerasTensor(shape, self.compute_dtype)

    def call(
        self,
        pixels: Tensor,
        images: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        patches, per_patch, inner_dim = sizes(pixels)
        rows = ops.reshape(pixels, (-1, per_patch * inner_dim))
        with fused_ops.parts_per_image(patches):
            rows = self.output_norm(self.projection(self.input_norm(rows)))
        tokens = ops.reshape(rows, (-1, patches, self.dim))
        class_token = ops.broadcast_to(
            ops.cast(self.class_token, tokens.dtype),
            (ops.shape(tokens)[0], 1, self.dim),
        )
        tokens = ops.concatenate([class_token, tokens], axis=1)
        tokens = tokens + ops.cast(self._positions(images), tokens.dtype)
        return self.dropout(tokens, training=training)

    def _positions(self, images):
        """The positions of the class token and of the patches."""
        if self.native_grid is None:
            return self.position_embedding
        height, width, _ = sizes(images)
        grid = [count_patches(side, self.patch_size) for side in (height, width)]
        patches = resample_grid(self.position_embedding[:, 1:], self.native_grid, grid)
        first = ops.cast(self.position_embedding[:, :1], patches.dtype)
        return ops.concatenate([first, patches], axis=1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dim": self.dim,
            "dropout_rate": self.dropout_rate,
            "native_grid": self.native_grid,
            "patch_size": self.patch_size,
        }
