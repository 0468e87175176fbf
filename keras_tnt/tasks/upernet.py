"""The head of UPerNet: pyramid pooling and a feature pyramid (arXiv 1807.10221)."""

from __future__ import annotations

from typing import Any

import keras

from keras_tnt.layers import LayerNorm
from keras_tnt.layers.region_pooling import RegionPooling
from keras_tnt.layers.resize_like import ResizeLike
from keras_tnt.tasks.feature_pyramid import FeaturePyramid
from keras_tnt.utils.typing import Tensor

BINS = (1, 2, 3, 6)


def upernet(pyramid: FeaturePyramid, classes: int, dim: int, dtype: Any) -> Tensor:
    """Return logits at the size of the finest level (section 3.2 of the paper).

    The coarsest level is pooled to 1x1, 2x2, 3x3 and 6x6 regions, which are enlarged
    and joined to it. From there, every level is added to the next finer one. All are
    convolved, enlarged to the finest and fused. In place of the paper's BatchNorm the
    head has LayerNorm, whose results do not depend on the batch.

    Args:
        pyramid: the maps of the backbone.
        classes: number of classes.
        dim: channels of the head's convolutions.
        dtype: dtype policy of the layers.
    """
    *finer, coarsest = pyramid.levels
    x = _pyramid_pooling(coarsest, dim, dtype)
    levels = [x]
    for number in range(len(finer), 0, -1):
        side = _convolve(finer[number - 1], dim, 1, f"lateral_{number}", dtype)
        above = ResizeLike(name=f"top_down_{number}", dtype=dtype)(x, side)
        x = keras.layers.Add(name=f"merged_{number}", dtype=dtype)([side, above])
        levels.insert(0, x)
    finest = _convolve(levels[0], dim, 3, "output_1", dtype)
    outputs = [finest]
    for number, level in enumerate(levels[1:], start=2):
        if number <= len(finer):
            level = _convolve(level, dim, 3, f"output_{number}", dtype)
        outputs.append(ResizeLike(name=f"resize_{number}", dtype=dtype)(level, finest))
    x = keras.layers.Concatenate(name="all_levels", dtype=dtype)(outputs)
    x = _convolve(x, dim, 3, "fusion", dtype)
    return keras.layers.Conv2D(classes, 1, name="mask_logits", dtype=dtype)(x)


def _pyramid_pooling(maps, dim, dtype):
    parts = [maps]
    for bins in BINS:
        pooled = RegionPooling(bins, name=f"pool_{bins}", dtype=dtype)(maps)
        pooled = _convolve(pooled, dim, 1, f"pool_{bins}_projection", dtype)
        parts.append(ResizeLike(name=f"pool_{bins}_resize", dtype=dtype)(pooled, maps))
    x = keras.layers.Concatenate(name="all_pools", dtype=dtype)(parts)
    return _convolve(x, dim, 3, "pooled", dtype)


def _convolve(maps, dim, size, name, dtype):
    """A convolution, LayerNorm and ReLU."""
    layers = keras.layers
    x = layers.Conv2D(
        dim,
        size,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
        dtype=dtype,
    )(maps)
    x = LayerNorm(name=f"{name}_norm", dtype=dtype)(x)
    return layers.Activation("relu", name=f"{name}_relu", dtype=dtype)(x)
