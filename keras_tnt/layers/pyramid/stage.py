"""Stage of a PyramidTNT: blocks of one size that share a position bias."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_tnt.layers.base import TNTLayer, sizes
from keras_tnt.layers.position_resampling import resample_bias
from keras_tnt.layers.pyramid.block import PyramidTNTBlock
from keras_tnt.layers.pyramid.spatial_reduction_block import SpatialReductionBlock
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Shape, Tensor

# A stage with more blocks has two with an inner transformer.
MAX_DEPTH_WITH_ONE_INNER_BLOCK = 6


@keras.saving.register_keras_serializable(package="keras_tnt")
class PyramidStage(TNTLayer):
    """Blocks of one size (arXiv 2201.00978, section 2.2 and Table 1).

    The first block is a `PyramidTNTBlock`. In a stage of more than six blocks, the
    first two are. The others are `SpatialReductionBlock`, without inner transformer.
    All blocks share one learned relative position bias, with a value for each head,
    query and key.

    Shapes: pixels ``(batch, rows, columns, pixels, inner_dim)`` and patches
    ``(batch, rows, columns, outer_dim)`` to a pair of the same shapes. Rows and
    columns are static without a native grid, the other axes always are.

    Args:
        depth: number of blocks.
        outer_num_heads: heads of the outer attention; must divide ``outer_dim``.
        inner_num_heads: heads of the inner attention; must divide ``inner_dim``.
        sr_ratio: window size and stride of the pooling of outer keys and values.
        mlp_ratio: width of the MLPs' hidden layers relative to their tokens.
        drop_path_rates: the probability of dropping a branch for each block; 0 by
            default.
        remat: whether to recompute the blocks in the backward pass of training, instead
            of keeping their intermediate results in memory.
        qkv_bias: whether query, key and value have biases.
        se_ratio: ratio of a `SqueezeExcitation` after the outer MLP; 0 for none.
        dropout_rate: dropout of attention outputs and MLPs, 0 to 1.
        attention_dropout_rate: dropout of the attention scores, 0 to 1.
        native_grid: ``(rows, columns)`` of the patches that the position bias belongs
            to, if it is resampled for maps of any size; ``None`` for one static size.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        pixels: floating-point tensor ``(batch, rows, columns, pixels, inner_dim)``.
        patches: floating-point tensor ``(batch, rows, columns, outer_dim)``.
        training: whether dropout and drop path are active.

    Raises:
        ValueError: if ``depth`` is less than 1 or not the number of rates.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import PyramidStage
        >>> stage = PyramidStage(2, outer_num_heads=4, inner_num_heads=2, sr_ratio=2)
        >>> pixels, patches = stage(
        ...     keras.ops.ones((2, 8, 6, 16, 8)), keras.ops.ones((2, 8, 6, 64))
        ... )
        >>> pixels.shape, patches.shape
        (TensorShape([2, 8, 6, 16, 8]), TensorShape([2, 8, 6, 64]))
    """

    keeps_shapes = True

    def __init__(
        self,
        depth: int,
        outer_num_heads: int,
        inner_num_heads: int,
        sr_ratio: int = 1,
        mlp_ratio: float = 4.0,
        drop_path_rates: Sequence[float] | None = None,
        remat: bool = False,
        qkv_bias: bool = False,
        se_ratio: float = 0.0,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        native_grid: tuple[int, int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_counts(depth=depth)
        if drop_path_rates is None:
            drop_path_rates = [0.0] * depth
        rates = as_list("drop_path_rates", drop_path_rates)
        if len(rates) != depth:
            raise ValueError(
                "drop_path_rates must have one rate for each block, got "
                f"depth={depth} and {len(rates)} rates."
            )
        self.depth = depth
        self.outer_num_heads = outer_num_heads
        self.inner_num_heads = inner_num_heads
        self.sr_ratio = sr_ratio
        self.mlp_ratio = mlp_ratio
        self.drop_path_rates = rates
        self.remat = remat
        self.qkv_bias = qkv_bias
        self.se_ratio = se_ratio
        self.dropout_rate = dropout_rate
        self.attention_dropout_rate = attention_dropout_rate
        self.native_grid = native_grid and tuple(native_grid)
        self.blocks = [self._block(index) for index in range(depth)]

    def _block(self, index):
        options = {
            "sr_ratio": self.sr_ratio,
            "mlp_ratio": self.mlp_ratio,
            "drop_path_rate": self.drop_path_rates[index],
            "remat": self.remat,
            "qkv_bias": self.qkv_bias,
            "se_ratio": self.se_ratio,
            "dropout_rate": self.dropout_rate,
            "attention_dropout_rate": self.attention_dropout_rate,
            **self._sublayer(f"block_{index + 1}"),
        }
        if index < (2 if self.depth > MAX_DEPTH_WITH_ONE_INNER_BLOCK else 1):
            return PyramidTNTBlock(
                self.outer_num_heads, self.inner_num_heads, **options
            )
        return SpatialReductionBlock(self.outer_num_heads, **options)

    def build(self, pixels_shape: Shape, patches_shape: Shape) -> None:
        shape = self._bias_shape(patches_shape[1:3])
        for block in self.blocks:
            if isinstance(block, PyramidTNTBlock):
                block.build(pixels_shape, patches_shape, shape)
            else:
                block.build(patches_shape, shape)
        self.position_bias = self.add_weight(
            shape=self._bias_shape(self.native_grid or patches_shape[1:3]),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="position_bias",
            autocast=self.native_grid is None,
        )

    def _bias_shape(self, grid):
        """The shape of the position bias of a map, ``None`` where it is open."""
        counts = [
            None if None in grid else grid[0] // ratio * (grid[1] // ratio)
            for ratio in (1, self.sr_ratio)
        ]
        return (1, self.outer_num_heads, *counts)

    def position_bias_of(self, patches: Tensor) -> Tensor:
        """Return the position bias for a map of patches.

        Args:
            patches: floating-point tensor ``(batch, rows, columns, outer_dim)``.

        Returns:
            A tensor ``(1, outer_num_heads, patches, pooled patches)`` of the dtype of
            the patches.
        """
        bias: Tensor = self.position_bias
        if self.native_grid is not None:
            grids: list[tuple[Any, Any]] = [
                (grid, (grid[0] // self.sr_ratio, grid[1] // self.sr_ratio))
                for grid in (self.native_grid, sizes(patches)[:2])
            ]
            bias = resample_bias(bias, *grids)
        return ops.cast(bias, patches.dtype)

    def call(
        self, pixels: Tensor, patches: Tensor, training: bool | None = None
    ) -> tuple[Tensor, ...]:
        position_bias = self.position_bias_of(patches)
        for block in self.blocks:
            if isinstance(block, PyramidTNTBlock):
                pixels, patches = block(
                    pixels, patches, position_bias, training=training
                )
            else:
                patches = block(patches, position_bias, training=training)
        return pixels, patches

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depth": self.depth,
            "outer_num_heads": self.outer_num_heads,
            "inner_num_heads": self.inner_num_heads,
            "sr_ratio": self.sr_ratio,
            "mlp_ratio": self.mlp_ratio,
            "drop_path_rates": self.drop_path_rates,
            "remat": self.remat,
            "qkv_bias": self.qkv_bias,
            "se_ratio": self.se_ratio,
            "dropout_rate": self.dropout_rate,
            "attention_dropout_rate": self.attention_dropout_rate,
            "native_grid": self.native_grid,
        }
