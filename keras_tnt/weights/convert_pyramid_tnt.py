"""Names of the published PyramidTNT weights, and a model's counterpart of each.

There is one naming, the official one. See `keras_tnt.weights.convert_tnt` for TNT.
"""

import math
from collections.abc import Iterator

import keras
import numpy as np

from keras_tnt.layers import PyramidTNTBlock
from keras_tnt.structure import position_grid
from keras_tnt.weights.mapping import (
    IDENTITY,
    MappedVariable,
    Tensors,
    check_finite,
    convolution_entries,
    dense_entries,
    excitation_entries,
    feed_forward_entries,
    fused_bias,
    fused_dense,
    norm_entries,
    without_wrappers,
)
from keras_tnt.weights.resample import (
    Grid,
    grid_of_positions,
    resample_position_bias,
    resample_tokens,
)

STAGES = (1, 2, 3, 4)

# What depends on the image size.
SIZED = ("outer_pos", *(f"stages.{stage - 1}.relative_pos" for stage in STAGES))
FIRST_KERNEL = "patch_embed.common_conv.0.weight"
OPTIONS = "depths, qkv_bias and se_ratio"

# Convolution and BatchNorm of every step of the stem, in its order.
COMMON_STEPS = ("patch_embed.common_conv.0", "patch_embed.common_conv.1")
PIXEL_STEPS = ("patch_embed.inner_convs.0", "patch_embed.inner_convs.1")
PATCH_STEPS = tuple(f"patch_embed.outer_convs.{index}" for index in (0, 1, 3, 4, 6, 7))

# PyTorch counts the batches that a BatchNorm has seen; Keras has no use for that.
WITHOUT_COUNTERPART = {
    f"{name}.num_batches_tracked"
    for name in (*COMMON_STEPS, *PIXEL_STEPS, *PATCH_STEPS)[1::2]
}

QKV_KERNEL = fused_dense(1)
QKV_BIAS = fused_bias(1)


def entries(model: keras.Model) -> Iterator[MappedVariable]:
    """Map every weight of a PyramidTNT to its upstream tensors.

    Args:
        model: a PyramidTNT, with or without top.

    Yields:
        A `MappedVariable` for each weight, in the order of the published files.
    """
    stem = model.get_layer("stem")
    yield MappedVariable(stem.patch_position_embedding, ("outer_pos",), IDENTITY)
    yield MappedVariable(stem.pixel_position_embedding, ("inner_pos",), IDENTITY)
    yield from _steps(stem.common_steps, COMMON_STEPS)
    yield from _steps(stem.pixel_steps, PIXEL_STEPS)
    yield from _steps(stem.patch_steps, PATCH_STEPS)
    for ours, theirs in (("pixel", "word"), ("patch", "sentence")):
        for stage in STAGES[1:]:
            merging = model.get_layer(f"{ours}_merging_{stage}")
            prefix = f"{theirs}_merges.{stage - 2}"
            yield from norm_entries(merging.norm, f"{prefix}.norm")
            yield from convolution_entries(merging.convolution, f"{prefix}.conv.0")
    for index, stage in enumerate(_stages(model)):
        yield MappedVariable(
            stage.position_bias, (f"stages.{index}.relative_pos",), IDENTITY
        )
        for number, block in enumerate(stage.blocks):
            yield from _block(block, f"stages.{index}.blocks.{number}.")
    yield from norm_entries(model.get_layer("norm"), "norm")
    if any(layer.name == "predictions" for layer in model.layers):
        yield from dense_entries(model.get_layer("predictions"), "head")


def _stages(model):
    return [model.get_layer(f"stage_{stage}") for stage in STAGES]


def _steps(layers, names):
    for layer, name in zip(layers, names, strict=True):
        if hasattr(layer, "moving_mean"):
            yield from norm_entries(layer, name)
            yield MappedVariable(layer.moving_mean, (f"{name}.running_mean",), IDENTITY)
            yield MappedVariable(
                layer.moving_variance, (f"{name}.running_var",), IDENTITY
            )
        else:
            yield from convolution_entries(layer, name)


def _block(block, prefix):
    outer = block
    if isinstance(block, PyramidTNTBlock):
        inner, outer = block.inner, block.outer
        yield from norm_entries(inner.attention_norm, prefix + "inner_norm1")
        name = prefix + "inner_attn"
        kernels = (f"{name}.q.weight", f"{name}.kv.weight")
        yield MappedVariable(inner.attention.qkv.kernel, kernels, QKV_KERNEL)
        if inner.attention.qkv.use_bias:
            biases = (f"{name}.q.bias", f"{name}.kv.bias")
            yield MappedVariable(inner.attention.qkv.bias, biases, QKV_BIAS)
        yield from dense_entries(inner.attention.projection, f"{name}.proj")
        yield from norm_entries(inner.feed_forward_norm, prefix + "inner_norm2")
        yield from feed_forward_entries(inner.feed_forward, prefix + "inner_mlp")
        yield from norm_entries(block.fold_input_norm, prefix + "proj_norm1")
        yield from dense_entries(block.fold_dense, prefix + "proj")
        yield from norm_entries(block.fold_output_norm, prefix + "proj_norm2")
    yield from norm_entries(outer.attention_norm, prefix + "outer_norm1")
    yield from _outer_attention(outer.attention, prefix + "outer_attn")
    yield from norm_entries(outer.feed_forward_norm, prefix + "outer_norm2")
    yield from feed_forward_entries(outer.feed_forward, prefix + "outer_mlp")
    if outer.squeeze_excitation:
        yield from excitation_entries(outer.squeeze_excitation, prefix + "se_layer")


def _outer_attention(layer, name):
    yield from dense_entries(layer.query, f"{name}.q")
    yield from dense_entries(layer.key_value, f"{name}.kv")
    yield from dense_entries(layer.projection, f"{name}.proj")
    if layer.sr_ratio > 1:
        yield from dense_entries(layer.reduction_dense, f"{name}.linear")
        yield from norm_entries(layer.reduction_norm, f"{name}.norm")


def resample(
    model: keras.Model, tensors: Tensors, recorded_grid: Grid | None
) -> Tensors:
    """Resample the tensors that depend on the image size.

    Args:
        model: a PyramidTNT.
        tensors: dict from upstream names to arrays.
        recorded_grid: ``(rows, columns)`` of the file's first patches if it says so.

    Returns:
        A dict with the tensors that fit the model's size; without those that cannot
        be resampled, for the check of shapes to refuse.

    Raises:
        ValueError: if the positions' grid cannot be told.
    """
    positions = tensors["outer_pos"]
    if positions.ndim != 3 or positions.shape[-1] != model.get_layer("stem").outer_dim:
        return {}
    count = positions.shape[1]
    old_grid = grid_of_positions(model, count, recorded_grid, "outer_pos")
    new_grid = position_grid(model)
    check_finite(((name, tensors[name]) for name in SIZED), "The file")
    fitted: Tensors = {"outer_pos": resample_tokens(positions, old_grid, new_grid)}
    for index, stage in enumerate(_stages(model)):
        name = f"stages.{index}.relative_pos"
        old_grids, new_grids = (
            (grid, (grid[0] // stage.sr_ratio, grid[1] // stage.sr_ratio))
            for grid in (old_grid, new_grid)
        )
        counts = tuple(rows * columns for rows, columns in old_grids)
        if tensors[name].shape == (1, stage.outer_num_heads, *counts) and all(counts):
            fitted[name] = resample_position_bias(
                np.asarray(tensors[name]), old_grids, new_grids
            )
        # Merging halves the grid, and rounds up.
        old_grid, new_grid = (
            ((rows + 1) // 2, (columns + 1) // 2)
            for rows, columns in (old_grid, new_grid)
        )
    return fitted


def standard_names(tensors: Tensors) -> Tensors:
    """Remove the prefixes of training, and tensors without a counterpart.

    Args:
        tensors: dict from official names to arrays.

    Returns:
        A dict from official names to arrays, in the same order.

    Raises:
        ValueError: for weights of another architecture.
    """
    tensors = without_wrappers(tensors, ["cls_token", FIRST_KERNEL])
    if "cls_token" in tensors:
        raise ValueError(
            "Tensor 'cls_token' marks a TNT, and the model is a PyramidTNT. Use the "
            "weights of one."
        )
    if FIRST_KERNEL not in tensors:
        found = ", ".join(list(tensors)[:5]) or "no tensor at all"
        raise ValueError(
            f"Tensor {FIRST_KERNEL!r} is missing: the file has no PyramidTNT in "
            f"official naming. It starts with {found}."
        )
    return {
        name: value
        for name, value in tensors.items()
        if name not in WITHOUT_COUNTERPART or math.prod(value.shape) != 1
    }
