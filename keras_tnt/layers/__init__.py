"""The building blocks of TNT, each a serialisable Keras layer usable alone."""

from keras_tnt.layers.feed_forward import FeedForward, gelu
from keras_tnt.layers.patch_embedding import PatchEmbedding
from keras_tnt.layers.pixel_embedding import PixelEmbedding
from keras_tnt.layers.self_attention import SelfAttention
from keras_tnt.layers.squeeze_excitation import SqueezeExcitation
from keras_tnt.layers.tnt_block import TNTBlock
from keras_tnt.layers.transformer_block import TransformerBlock

__all__ = [
    "FeedForward",
    "PatchEmbedding",
    "PixelEmbedding",
    "SelfAttention",
    "SqueezeExcitation",
    "TNTBlock",
    "TransformerBlock",
    "gelu",
]
