"""Attention of a TNT: between patches, and between the pixels of a patch."""

import math
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.visualization.block_outputs import as_float32, iterate_blocks


class AttentionMaps(NamedTuple):
    """Attention of every block, counted from 1; float32 arrays, rows sum to one.

    Attributes:
        outer: block → ``(batch, heads, 1 + patches, 1 + patches)``, the class token
            first. A PyramidTNT has none: ``(batch, heads, patches, pooled patches)``.
        inner: block → ``(batch, patches, heads, pixels, pixels)``, for blocks with an
            inner transformer.
        grids: block → ``(rows, columns)`` of its patches, counted row by row.
        sr_ratios: block → side of the squares over which the outer keys are pooled; 1
            in a TNT.
    """

    outer: dict
    inner: dict
    grids: dict
    sr_ratios: dict


def attention_maps(model: keras.Model, images: ArrayLike) -> AttentionMaps:
    """Compute outer and inner attention of a TNT or PyramidTNT (paper, section A.1).

    The attention is computed outside of the model's graph, block by block, so the
    model itself does not become slower.

    Args:
        model: a TNT or PyramidTNT, a model extended from one, or one with it as a
            layer, at any depth.
        images: a batch of images for ``model``, ``(batch, height, width, channels)``;
            of a model of several inputs also a list or dict of all of them.

    Returns:
        `AttentionMaps`. The blocks of a PyramidTNT are counted across its stages.

    Raises:
        ValueError: if ``model`` has no TNT or more than one, or no graph from its input
            to the TNT; or if it scales images itself and these look scaled to 0-1.

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
    """Compute the attention rollout (Abnar and Zuidema, arXiv 2005.00928).

    It is the product over the blocks, the last one leftmost, of ``(A + I) / 2``: ``A``
    is the mean outer attention of a block's heads, and ``I`` is the residual
    connection. Row ``i`` is the share of each patch that reaches token ``i``. It does
    not include what the inner transformers add to the patches.

    Args:
        maps: the `AttentionMaps` of a TNT.

    Returns:
        A float32 array ``(batch, 1 + patches, 1 + patches)``, rows sum to one.
        `class_token_map` turns the class token's row into a map over the patches.

    Raises:
        ValueError: if it is a PyramidTNT, whose blocks have different patches.

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


def has_class_token(maps: AttentionMaps) -> bool:
    """Return whether attention has a class token: a TNT's has, a PyramidTNT's not."""
    block = min(maps.outer)
    return maps.outer[block].shape[2] == 1 + math.prod(maps.grids[block])


def select_block(part: dict[int, Any], block: int, lack: str) -> Any:
    """Return what a block has, or raise a `ValueError` that says what it lacks."""
    if block not in part:
        raise ValueError(
            f"Block {block} has {lack}: expected one of {sorted(part)}, counted from 1."
        )
    return part[block]


def _rows(scores):
    """Normalize rows of half precision, so that they sum to one exactly."""
    scores = as_float32(scores)
    return scores / scores.sum(axis=-1, keepdims=True)
