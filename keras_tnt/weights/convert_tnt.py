"""Names and layouts of the published TNT weights, and a model's counterpart of each.

Two namings are around for the same tensors: the official one (``outer_pos``,
``blocks.0.inner_attn…``) and timm's (``patch_pos``, ``blocks.0.attn_in…``). Official
names are translated to timm's first; one table then ties those to the variables.
`keras_tnt.weights.convert_pyramid_tnt` does the same for PyramidTNT.
"""

import re
from collections.abc import Iterator

import keras
import numpy as np

from keras_tnt.layers import TNTBlock
from keras_tnt.structure import blocks, position_grid
from keras_tnt.weights.mapping import (
    IDENTITY,
    MappedVariable,
    Tensors,
    WeightMapping,
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
from keras_tnt.weights.resample import Grid, grid_of_positions, resample_patch_positions

# Official name → timm name of what is inside `blocks.N.` …
OFFICIAL_BLOCK_NAMES = {
    "inner_norm1": "norm_in",
    "inner_attn": "attn_in",
    "inner_norm2": "norm_mlp_in",
    "inner_mlp": "mlp_in",
    "proj_norm1": "norm1_proj",
    "proj_norm2": "norm2_proj",
    "outer_norm1": "norm_out",
    "outer_attn": "attn_out",
    "outer_norm2": "norm_mlp",
    "outer_mlp": "mlp",
}
# … and of the rest.
OFFICIAL_NAMES = {
    "outer_pos": "patch_pos",
    "inner_pos": "pixel_pos",
    "patch_embed": "pixel_embed",
    "proj_norm1": "norm1_proj",
    "proj_norm2": "norm2_proj",
}

FIRST_KERNEL = "pixel_embed.proj.weight"
PYRAMID_KERNEL = "patch_embed.common_conv.0.weight"
OPTIONS = "depth, inner_blocks, qkv_bias and se_ratio"


def _pixel_grid(positions):
    _, pixels, dim = positions.shape
    side = round(pixels**0.5)
    return (positions.reshape(1, side, side, dim).transpose(0, 3, 1, 2),)


QKV_KERNEL = fused_dense(2)
QKV_BIAS = fused_bias(2)
PIXEL_POSITIONS = WeightMapping(
    lambda tensor: tensor.reshape(*tensor.shape[:2], -1).transpose(0, 2, 1), _pixel_grid
)


def entries(model: keras.Model) -> Iterator[MappedVariable]:
    """Map every weight of a TNT to its upstream tensors.

    Args:
        model: a TNT, with or without top.

    Yields:
        A `MappedVariable` for each weight, in the order of the published files.
    """
    pixels = model.get_layer("pixel_embedding")
    patches = model.get_layer("patch_embedding")
    yield MappedVariable(patches.class_token, ("cls_token",), IDENTITY)
    yield MappedVariable(patches.position_embedding, ("patch_pos",), IDENTITY)
    yield MappedVariable(pixels.position_embedding, ("pixel_pos",), PIXEL_POSITIONS)
    yield from convolution_entries(pixels.projection, "pixel_embed.proj")
    yield from norm_entries(patches.input_norm, "norm1_proj")
    yield from dense_entries(patches.projection, "proj")
    yield from norm_entries(patches.output_norm, "norm2_proj")
    for index, block in enumerate(blocks(model)):
        yield from _block(block, f"blocks.{index}.")
    yield from norm_entries(model.get_layer("norm"), "norm")
    if any(layer.name == "predictions" for layer in model.layers):
        yield from dense_entries(model.get_layer("predictions"), "head")


def _block(block, prefix):
    outer = block
    if isinstance(block, TNTBlock):
        inner, outer = block.inner, block.outer
        yield from norm_entries(inner.attention_norm, prefix + "norm_in")
        yield from _attention(inner.attention, prefix + "attn_in")
        yield from norm_entries(inner.feed_forward_norm, prefix + "norm_mlp_in")
        yield from feed_forward_entries(inner.feed_forward, prefix + "mlp_in")
        yield from norm_entries(block.fold_input_norm, prefix + "norm1_proj")
        yield from dense_entries(block.fold_dense, prefix + "proj")
        yield from norm_entries(block.fold_output_norm, prefix + "norm2_proj")
    yield from norm_entries(outer.attention_norm, prefix + "norm_out")
    yield from _attention(outer.attention, prefix + "attn_out")
    yield from norm_entries(outer.feed_forward_norm, prefix + "norm_mlp")
    yield from feed_forward_entries(outer.feed_forward, prefix + "mlp")
    if outer.squeeze_excitation:
        yield from excitation_entries(outer.squeeze_excitation, prefix + "se_layer")


def _attention(layer, name):
    weights = (f"{name}.qk.weight", f"{name}.v.weight")
    yield MappedVariable(layer.qkv.kernel, weights, QKV_KERNEL)
    if layer.qkv.use_bias:
        yield MappedVariable(
            layer.qkv.bias, (f"{name}.qk.bias", f"{name}.v.bias"), QKV_BIAS
        )
    yield from dense_entries(layer.projection, f"{name}.proj")


def resample(
    model: keras.Model, tensors: Tensors, recorded_grid: Grid | None
) -> Tensors:
    """Resample the tensors that depend on the image size.

    Args:
        model: a TNT.
        tensors: dict from upstream names to arrays.
        recorded_grid: ``(rows, columns)`` of the file's patches if it says so.

    Returns:
        A dict with the tensors that fit the model's size; without those that cannot
        be resampled, for the check of shapes to refuse.

    Raises:
        ValueError: if the positions' grid cannot be told.
    """
    positions = tensors["patch_pos"]
    width = model.get_layer("patch_embedding").dim
    if positions.ndim != 3 or positions.shape[-1] != width:
        return {}
    count = positions.shape[1] - 1
    old_grid = grid_of_positions(model, count, recorded_grid, "patch_pos")
    check_finite([("patch_pos", positions)], "The file")
    return {
        "patch_pos": resample_patch_positions(positions, old_grid, position_grid(model))
    }


def standard_names(tensors: Tensors) -> Tensors:
    """Translate official names, and the prefixes of training, to timm's names.

    Args:
        tensors: dict from official or timm names to arrays.

    Returns:
        A dict from timm names to arrays in timm's layout, in the same order. What
        has no counterpart in a model is left out: ``outer_tokens``, which is zero.

    Raises:
        ValueError: for weights of another architecture.
    """
    tensors = without_wrappers(tensors, ["cls_token", PYRAMID_KERNEL])
    _refuse_other_architectures(tensors)
    if "outer_pos" not in tensors:
        return tensors
    translated = {}
    for name, tensor in tensors.items():
        if name == "outer_tokens":
            _check_unused(name, tensor)
        elif name == "inner_pos":
            translated["pixel_pos"] = _pixel_grid(np.asarray(tensor))[0]
        else:
            translated[_timm_name(name)] = tensor
    return translated


def _timm_name(name):
    block = re.match(r"blocks\.\d+\.", name)
    prefix = block.group() if block else ""
    part, dot, rest = name.removeprefix(prefix).partition(".")
    table = OFFICIAL_BLOCK_NAMES if block else OFFICIAL_NAMES
    return prefix + table.get(part, part) + dot + rest


def _refuse_other_architectures(tensors):
    if "blocks.0.proj.bias" in tensors:
        raise ValueError(
            "Tensor 'blocks.0.proj.bias' marks the legacy TNT-S, another architecture "
            "(its fold has a bias and it convolves the whole image). Use "
            "timm/tnt_s_patch16_224.in1k, not timm/tnt_s_legacy_patch16_224.in1k."
        )
    if PYRAMID_KERNEL in tensors:
        raise ValueError(
            f"Tensor {PYRAMID_KERNEL!r} marks a PyramidTNT, and the model is a TNT. "
            "Use the weights of one."
        )
    if "cls_token" not in tensors:
        found = ", ".join(list(tensors)[:5]) or "no tensor at all"
        raise ValueError(
            "Tensor 'cls_token' is missing: the file has no TNT in official or timm "
            f"naming. It starts with {found}."
        )


def _check_unused(name, tensor):
    if np.any(tensor):
        raise ValueError(
            f"Tensor {name!r} is zero and unused in the published models, but not in "
            "this file, which must be of another architecture."
        )
