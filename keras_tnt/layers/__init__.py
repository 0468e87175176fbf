"""The building blocks of TNT: serializable Keras layers that can be used alone."""

from keras_tnt.layers.feed_forward import FeedForward, gelu
from keras_tnt.layers.layer_norm import LayerNorm
from keras_tnt.layers.patch_embedding import PatchEmbedding
from keras_tnt.layers.pixel_embedding import PixelEmbedding
from keras_tnt.layers.pyramid import (
    PatchMerging,
    PixelMerging,
    PyramidStage,
    PyramidStem,
    PyramidTNTBlock,
    SpatialReductionAttention,
    SpatialReductionBlock,
)
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
