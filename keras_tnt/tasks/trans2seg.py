"""The head of Trans2Seg: a decoder of class embeddings (arXiv 2101.08461)."""

from __future__ import annotations

from typing import Any

import keras

from keras_tnt.layers import FeedForward, LayerNorm
from keras_tnt.layers.class_embedding import ClassEmbedding
from keras_tnt.layers.class_masks import ClassMasks
from keras_tnt.tasks.feature_pyramid import FeaturePyramid
from keras_tnt.utils.typing import Tensor

HEAD_DIM = 32  # channels of an attention head
DECODER_BLOCKS = 4


def trans2seg(pyramid: FeaturePyramid, classes: int, dim: int, dtype: Any) -> Tensor:
    """Return logits at the size of the finest level (paper, sections 3.3 and 3.4).

    Learned class embeddings attend to the map of the last block in four decoder blocks.
    Their attention scores, one map for each class and attention head, are joined with
    the finest level and become a mask for each class. The TNT takes the place of the
    paper's CNN and transformer encoder.

    Args:
        pyramid: the maps of the backbone.
        classes: number of classes.
        dim: width of the tokens, a multiple of 32.
        dtype: dtype policy of the layers.

    Raises:
        ValueError: if ``dim`` is no multiple of 32.
    """
    if dim % HEAD_DIM:
        raise ValueError(f"dim must be a multiple of {HEAD_DIM}, got {dim}.")
    layers, heads = keras.layers, dim // HEAD_DIM
    maps = layers.Dense(dim, name="memory", dtype=dtype)(pyramid.last)
    maps = LayerNorm(name="memory_norm", dtype=dtype)(maps)
    memory = layers.Reshape((-1, dim), name="memory_tokens", dtype=dtype)(maps)
    x = ClassEmbedding(classes, name="class_embedding", dtype=dtype)(memory)
    for number in range(1, DECODER_BLOCKS + 1):
        name = f"decoder_{number}"
        query = LayerNorm(name=f"{name}_attention_norm", dtype=dtype)(x)
        attended = layers.MultiHeadAttention(
            heads, HEAD_DIM, name=f"{name}_attention", dtype=dtype
        )(query, memory)
        x = layers.Add(name=f"{name}_attended", dtype=dtype)([x, attended])
        normed = LayerNorm(name=f"{name}_mlp_norm", dtype=dtype)(x)
        moved = FeedForward(name=f"{name}_mlp", dtype=dtype)(normed)
        x = layers.Add(name=f"{name}_output", dtype=dtype)([x, moved])
    x = LayerNorm(name="decoder_norm", dtype=dtype)(x)
    masks = ClassMasks(heads, name="mask_logits", dtype=dtype)
    return masks(x, maps, pyramid.levels[0])
