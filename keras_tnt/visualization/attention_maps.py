"""What a TNT attends to: among the patches, and among the pixels of one patch."""

from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.visualization.block_outputs import as_float32, iterate_blocks


class AttentionMaps(NamedTuple):
    """Attention of every block, counted from 1; float32 arrays, rows sum to one.

    Attributes:
        outer: block → ``(batch, heads, 1 + patches, 1 + patches)``, the class token
            first; of a PyramidTNT, which has none, ``(batch, heads, patches, pooled
            patches)``.
        inner: block → ``(batch, patches, heads, pixels, pixels)``, for the blocks that
            have an inner transformer.
        grids: block → ``(rows, columns)`` of its patches, which are counted row by row.
        sr_ratios: block → side of the squares of patches that its outer keys are
            pooled over; 1 in a TNT.
    """

    outer: dict
    inner: dict
    grids: dict
    sr_ratios: dict


def attention_maps(model: keras.Model, images: ArrayLike) -> AttentionMaps:
    """Computes outer and inner attention of a TNT or PyramidTNT (paper, section 4.4).

    The attention is computed beside the model, block by block; the model itself stays
    as fast as it is.

    Args:
        model: a TNT or PyramidTNT, a model grown from one, or one with it as a layer,
            at any depth.
        images: a batch as ``model`` takes it, ``(batch, height, width, channels)``.

    Returns:
        `AttentionMaps`. The blocks of a PyramidTNT are counted through its stages.

    Raises:
        ValueError: if ``model`` has no TNT, or its input cannot be followed to it.

    Example:
        >>> import keras_tnt, numpy
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> maps = keras_tnt.attention_maps(model, numpy.zeros((2, 32, 64, 3)))
        >>> maps.outer[1].shape, maps.inner[2].shape, maps.grids[2]
        ((2, 3, 9, 9), (2, 8, 4, 16, 16), (2, 4))
    """
    maps = AttentionMaps({}, {}, {}, {})
    for block, step in enumerate(iterate_blocks(model, images), start=1):
        maps.outer[block] = _rows(step.outer)
        if step.inner is not None:
            maps.inner[block] = _rows(step.inner)
        maps.grids[block] = step.grid
        maps.sr_ratios[block] = step.sr_ratio
    return maps


def attention_rollout(maps: AttentionMaps) -> np.ndarray:
    """Follows attention through all blocks (Abnar and Zuidema, arXiv 2005.00928).

    The product over the blocks, the last one leftmost, of ``(A + I) / 2``: ``A`` is a
    block's outer attention, the mean of its heads, and ``I`` stands for the residual
    connection. Row ``i`` says how much of each patch reaches token ``i``. What the
    inner transformers add to the patches is not part of it.

    Args:
        maps: the `AttentionMaps` of a TNT.

    Returns:
        A float32 array ``(batch, 1 + patches, 1 + patches)``, rows sum to one.
        `class_token_map` draws the class token's row over the patches.

    Raises:
        ValueError: for a PyramidTNT, whose blocks differ in their patches.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import attention_rollout
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> maps = keras_tnt.attention_maps(model, numpy.zeros((2, 32, 64, 3)))
        >>> attention_rollout(maps).shape
        (2, 9, 9)
    """
    shapes = {outer.shape[2:] for outer in maps.outer.values()}
    queries, keys = next(iter(shapes))
    if len(shapes) > 1 or queries != keys:
        raise ValueError(
            "Attention rollout multiplies the attention of blocks that have the same "
            "patches as queries and as keys; in a PyramidTNT they are pooled and "
            "merged. Use keras_tnt.visualization.block_map for single blocks."
        )
    rollout = np.eye(keys, dtype="float32")
    for block in sorted(maps.outer):
        attention = maps.outer[block].mean(axis=1)
        rollout = (attention + np.eye(keys, dtype="float32")) / 2 @ rollout
    return rollout


def _rows(scores):
    """Half-precision rows sum to one but for rounding; here they do so exactly."""
    scores = as_float32(scores)
    return scores / scores.sum(axis=-1, keepdims=True)
