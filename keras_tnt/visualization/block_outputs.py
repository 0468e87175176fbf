"""The outputs and the attention of every block."""

from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_tnt.layers import PyramidTNTBlock, TNTBlock
from keras_tnt.structure import blocks, extend_from_input, find_tnt, stages, stem
from keras_tnt.utils.typing import Tensor
from keras_tnt.visualization.image_range import check_model_images, select_inputs


class BlockOutput(NamedTuple):
    """The output of one block, as tensors of the model's compute dtype.

    Attributes:
        pixels: ``(batch, patches, pixels, inner_dim)``, ``None`` for a block without
            inner transformer.
        patches: ``(batch, patches, outer_dim)``, in a TNT with the class token in
            front.
        inner: inner attention, ``(batch, patches, heads, pixels, pixels)`` or ``None``.
        outer: outer attention, ``(batch, heads, queries, keys)``.
        grid: ``(rows, columns)`` of the patches.
        sr_ratio: side of the squares of patches that keys are pooled over.
    """

    pixels: object
    patches: object
    inner: object
    outer: object
    grid: tuple
    sr_ratio: int


def iterate_blocks(model: keras.Model, images: Tensor) -> Iterator[BlockOutput]:
    """Run a model block by block, outside of its own graph.

    Args:
        model: a TNT or PyramidTNT, a model extended from one, or one that contains it.
        images: a batch of images for ``model``; of a model of several inputs also a
            list or dict of all of them.

    Returns:
        An iterator over the `BlockOutput` of each block, first to last.

    Raises:
        ValueError: if ``model`` has no TNT, or no graph from its input to the TNT, or
            the images look scaled to 0-1 or ±1 and ``model`` scales them itself.
    """
    tnt = find_tnt(model)
    if stages(tnt):
        first = tnt.get_layer("stem").output
    else:
        names = ("pixel_embedding", "patch_embedding")
        first = [stem(tnt).input, *(tnt.get_layer(name).output for name in names)]
    embed = extend_from_input(model, keras.Model(tnt.input, first))
    check_model_images(model, images)
    if isinstance(images, (list, tuple, dict)) and len(model.inputs) > 1:
        images = select_inputs(embed, model, images)
    outputs = embed(images, training=False)
    return _walk_pyramid(tnt, *outputs) if stages(tnt) else _walk_tnt(tnt, *outputs)


def _walk_tnt(model, images, pixels, patches):
    grid = stem(model).grid(images.shape)
    for block in blocks(model):
        if isinstance(block, TNTBlock):
            pixels, patches, inner, outer = block(
                pixels, patches, training=False, return_attention_scores=True
            )
            yield BlockOutput(pixels, patches, inner, outer, grid, 1)
        else:
            patches, outer = block(
                patches, training=False, return_attention_scores=True
            )
            yield BlockOutput(None, patches, None, outer, grid, 1)


def _walk_pyramid(model, pixels, patches):
    for number, stage in enumerate(stages(model), start=1):
        if number > 1:
            pixels = model.get_layer(f"pixel_merging_{number}")(pixels)
            patches = model.get_layer(f"patch_merging_{number}")(patches)
        bias = stage.position_bias_of(patches)
        for block in stage.blocks:
            inner = None
            if isinstance(block, PyramidTNTBlock):
                pixels, patches, inner, outer = block(
                    pixels, patches, bias, return_attention_scores=True
                )
            else:
                patches, outer = block(patches, bias, return_attention_scores=True)
            yield BlockOutput(
                None if inner is None else _flatten_grid(pixels),
                _flatten_grid(patches),
                inner,
                outer,
                tuple(patches.shape[1:3]),
                stage.sr_ratio,
            )


def as_float32(tensor: Tensor) -> np.ndarray:
    """Return a tensor of any precision as a float32 array."""
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def _flatten_grid(tokens):
    _, rows, columns, *rest = tokens.shape
    return ops.reshape(tokens, (-1, rows * columns, *rest))
