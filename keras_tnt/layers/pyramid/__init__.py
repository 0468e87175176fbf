"""The building blocks of PyramidTNT."""

from keras_tnt.layers.pyramid.block import PyramidTNTBlock
from keras_tnt.layers.pyramid.patch_merging import PatchMerging
from keras_tnt.layers.pyramid.pixel_merging import PixelMerging
from keras_tnt.layers.pyramid.spatial_reduction_attention import (
    SpatialReductionAttention,
)
from keras_tnt.layers.pyramid.spatial_reduction_block import SpatialReductionBlock
from keras_tnt.layers.pyramid.stage import PyramidStage
from keras_tnt.layers.pyramid.stem import PyramidStem

__all__ = [
    "PatchMerging",
    "PixelMerging",
    "PyramidStage",
    "PyramidStem",
    "PyramidTNTBlock",
    "SpatialReductionAttention",
    "SpatialReductionBlock",
]
