"""The building blocks of TNT, each a serialisable Keras layer usable alone."""

from keras_tnt.layers.feed_forward import FeedForward, gelu
from keras_tnt.layers.layer_norm import LayerNorm
from keras_tnt.layers.patch_embedding import PatchEmbedding
from keras_tnt.layers.pixel_embedding import PixelEmbedding
from keras_tnt.layers.pyramid.block import PyramidTNTBlock
from keras_tnt.layers.pyramid.patch_merging import PatchMerging
from keras_tnt.layers.pyramid.pixel_merging import PixelMerging
from keras_tnt.layers.pyramid.spatial_reduction_attention import (
    SpatialReductionAttention,
)
from keras_tnt.layers.pyramid.spatial_reduction_block import SpatialReductionBlock
from keras_tnt.layers.pyramid.stage import PyramidStage
from keras_tnt.layers.pyramid.stem import PyramidStem
from keras_tnt.layers.self_attention import SelfAttention
from keras_tnt.layers.squeeze_excitation import SqueezeExcitation
from keras_tnt.layers.tnt_block import TNTBlock
from keras_tnt.layers.transformer_block import TransformerBlock

__all__ = [
    "FeedForward",
    "LayerNorm",
    "PatchEmbedding",
    "PatchMerging",
    "PixelEmbedding",
    "PixelMerging",
    "PyramidStage",
    "PyramidStem",
    "PyramidTNTBlock",
    "SelfAttention",
    "SpatialReductionAttention",
    "SpatialReductionBlock",
    "SqueezeExcitation",
    "TNTBlock",
    "TransformerBlock",
    "gelu",
]
