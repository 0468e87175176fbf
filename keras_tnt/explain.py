"""What a TNT attends to: among the patches, and among the pixels of one patch."""

from typing import NamedTuple

import keras
import numpy as np

from keras_tnt.layers import TNTBlock
from keras_tnt.weights.upstream import blocks


class AttentionMaps(NamedTuple):
    """Attention of every block, counted from 1; float32 arrays, rows sum to one.

    Attributes:
        outer: block → ``(batch, heads, 1 + patches, 1 + patches)``, the class token
            first.
        inner: block → ``(batch, patches, heads, pixels, pixels)``, for the blocks that
            have an inner transformer.
    """

    outer: dict
    inner: dict


def attention_maps(model, images):
    """Computes outer and inner attention of a TNT (paper, section 4.4).

    The attention is computed beside the model, block by block; the model itself stays
    as fast as it is.

    Args:
        model: a TNT, or a model grown from its input and output.
        images: a batch as the model takes it, ``(batch, height, width, channels)``.

    Returns:
        `AttentionMaps`.

    Raises:
        ValueError: if ``model`` has no TNT blocks.

    Example:
        >>> import keras_tnt, numpy
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> maps = keras_tnt.attention_maps(model, numpy.zeros((2, 32, 64, 3)))
        >>> maps.outer[1].shape, maps.inner[2].shape
        ((2, 3, 9, 9), (2, 8, 4, 16, 16))
    """
    layers = blocks(model)
    if not layers:
        raise ValueError(
            f"Model {model.name!r} has no TNT blocks of its own. If the TNT is a layer "
            "of this model, give that layer: model.get_layer(NAME)."
        )
    embeddings = keras.Model(
        model.input,
        [
            model.get_layer(name).output
            for name in ("pixel_embedding", "patch_embedding")
        ],
    )
    pixels, patches = embeddings(images)
    maps = AttentionMaps({}, {})
    for number, block in enumerate(layers, start=1):
        if isinstance(block, TNTBlock):
            pixels, patches, inner, outer = block(
                pixels, patches, return_attention_scores=True
            )
            maps.inner[number] = _float32(inner)
        else:
            patches, outer = block(patches, return_attention_scores=True)
        maps.outer[number] = _float32(outer)
    return maps


def class_token_map(outer, grid):
    """What the class token attends to in one block, mean of the heads.

    Args:
        outer: attention of one block, ``(batch, heads, 1 + patches, 1 + patches)``.
        grid: ``(rows, columns)`` of patches.

    Returns:
        A float32 array ``(batch, rows, columns)``, scaled so that the most attended
        patch has 1.

    Example:
        >>> import numpy
        >>> from keras_tnt.explain import class_token_map
        >>> class_token_map(numpy.full((2, 3, 9, 9), 1 / 9), (2, 4)).shape
        (2, 2, 4)
    """
    weights = outer[:, :, 0, 1:].mean(axis=1)
    weights = weights / weights.max(axis=1, keepdims=True)
    return weights.reshape(-1, *grid).astype("float32")


def _float32(scores):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(scores, "float32")))
