"""Names and layouts of the published TNT weights, and a model's counterpart of each.

Two namings are around for the same tensors: the official one (``outer_pos``,
``blocks.0.inner_attn…``) and timm's (``patch_pos``, ``blocks.0.attn_in…``). Official
names are translated to timm's first; one table then ties those to the variables.
Both come from PyTorch: dense kernels are (out, in), convolutions (out, in, h, w).
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from keras_tnt.layers import TNTBlock

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
HEAD = ("head.weight", "head.bias")


class Layout(NamedTuple):
    """How one variable is laid out as upstream tensors, and back."""

    to_keras: Callable[..., np.ndarray]
    to_upstream: Callable[[np.ndarray], tuple[np.ndarray, ...]]


class Entry(NamedTuple):
    """A variable of the model and the upstream tensors that it is made of."""

    variable: keras.Variable
    names: tuple[str, ...]
    layout: Layout

    def upstream_shapes(self):
        """Returns the shapes of the upstream tensors, in the order of the names."""
        zeros = np.broadcast_to(np.float32(0), self.variable.shape)
        return [part.shape for part in self.layout.to_upstream(zeros)]


def _split_query_key_from_value(fused):
    """Upstream holds queries and keys in one tensor, values in another."""
    dim = fused.shape[0] // 3
    return fused[: 2 * dim], fused[2 * dim :]


def _pixel_grid(positions):
    _, pixels, dim = positions.shape
    side = round(pixels**0.5)
    return (positions.reshape(1, side, side, dim).transpose(0, 3, 1, 2),)


AS_IT_IS = Layout(lambda tensor: tensor, lambda value: (value,))
DENSE = Layout(lambda tensor: tensor.T, lambda value: (value.T,))
CONVOLUTION = Layout(
    lambda tensor: tensor.transpose(2, 3, 1, 0),
    lambda value: (value.transpose(3, 2, 0, 1),),
)
QKV_KERNEL = Layout(
    lambda qk, v: np.concatenate([qk, v]).T,
    lambda value: _split_query_key_from_value(value.T),
)
QKV_BIAS = Layout(
    lambda qk, v: np.concatenate([qk, v]),
    lambda value: _split_query_key_from_value(value),
)
PIXEL_POSITIONS = Layout(
    lambda tensor: tensor.reshape(*tensor.shape[:2], -1).transpose(0, 2, 1), _pixel_grid
)


def entries(model):
    """Ties every weight of a TNT to its upstream tensors.

    Args:
        model: a TNT, with or without top.

    Yields:
        An `Entry` for each weight of the TNT, in the order of the published files.
    """
    pixels = model.get_layer("pixel_embedding")
    patches = model.get_layer("patch_embedding")
    yield Entry(patches.class_token, ("cls_token",), AS_IT_IS)
    yield Entry(patches.position_embedding, ("patch_pos",), AS_IT_IS)
    yield Entry(pixels.position_embedding, ("pixel_pos",), PIXEL_POSITIONS)
    convolution = pixels.projection
    yield Entry(convolution.kernel, ("pixel_embed.proj.weight",), CONVOLUTION)
    yield Entry(convolution.bias, ("pixel_embed.proj.bias",), AS_IT_IS)
    yield from _norm(patches.input_norm, "norm1_proj")
    yield from _dense(patches.projection, "proj")
    yield from _norm(patches.output_norm, "norm2_proj")
    for index, block in enumerate(blocks(model)):
        yield from _block(block, f"blocks.{index}.")
    yield from _norm(model.get_layer("norm"), "norm")
    if has_head(model):
        yield from _dense(model.get_layer("predictions"), "head")


def blocks(model):
    """Returns the blocks of a TNT from first to last."""
    numbered = [
        layer for layer in model.layers if re.fullmatch(r"block_\d+", layer.name)
    ]
    return sorted(numbered, key=lambda layer: int(layer.name.removeprefix("block_")))


def has_head(model):
    """Whether the model ends in the published models' kind of head."""
    return any(layer.name == "predictions" for layer in model.layers)


def _block(block, prefix):
    outer = block
    if isinstance(block, TNTBlock):
        inner, outer = block.inner, block.outer
        yield from _norm(inner.attention_norm, prefix + "norm_in")
        yield from _attention(inner.attention, prefix + "attn_in")
        yield from _norm(inner.feed_forward_norm, prefix + "norm_mlp_in")
        yield from _feed_forward(inner.feed_forward, prefix + "mlp_in")
        yield from _norm(block.fold_input_norm, prefix + "norm1_proj")
        yield from _dense(block.fold_dense, prefix + "proj")
        yield from _norm(block.fold_output_norm, prefix + "norm2_proj")
    yield from _norm(outer.attention_norm, prefix + "norm_out")
    yield from _attention(outer.attention, prefix + "attn_out")
    yield from _norm(outer.feed_forward_norm, prefix + "norm_mlp")
    yield from _feed_forward(outer.feed_forward, prefix + "mlp")
    if outer.squeeze_excitation:
        excitation = outer.squeeze_excitation
        yield from _norm(excitation.norm, prefix + "se_layer.fc.0")
        yield from _dense(excitation.reduce_dense, prefix + "se_layer.fc.1")
        yield from _dense(excitation.expand_dense, prefix + "se_layer.fc.3")


def _norm(layer, name):
    yield Entry(layer.gamma, (f"{name}.weight",), AS_IT_IS)
    yield Entry(layer.beta, (f"{name}.bias",), AS_IT_IS)


def _dense(layer, name):
    yield Entry(layer.kernel, (f"{name}.weight",), DENSE)
    if layer.use_bias:
        yield Entry(layer.bias, (f"{name}.bias",), AS_IT_IS)


def _attention(layer, name):
    weights = (f"{name}.qk.weight", f"{name}.v.weight")
    yield Entry(layer.qkv.kernel, weights, QKV_KERNEL)
    if layer.qkv.use_bias:
        yield Entry(layer.qkv.bias, (f"{name}.qk.bias", f"{name}.v.bias"), QKV_BIAS)
    yield from _dense(layer.projection, f"{name}.proj")


def _feed_forward(layer, name):
    yield from _dense(layer.intermediate_dense, f"{name}.fc1")
    yield from _dense(layer.output_dense, f"{name}.fc2")


def to_timm_names(tensors):
    """Translates official names, and what training wraps around names, to timm's.

    Args:
        tensors: dict from official or timm names to arrays.

    Returns:
        A dict from timm names to arrays in timm's layout, in the same order. What
        has no counterpart in a model is left out: ``outer_tokens``, which is zero.

    Raises:
        ValueError: for weights of another architecture.
    """
    if tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): t for name, t in tensors.items()}
    _refuse_other_architectures(tensors)
    if "outer_pos" not in tensors:
        return dict(tensors)
    translated = {}
    for name, tensor in tensors.items():
        if name == "outer_tokens":
            _check_unused(name, tensor)
        elif name == "inner_pos":
            translated["pixel_pos"] = _pixel_grid(tensor)[0]
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
    if "patch_embed.common_conv.0.weight" in tensors:
        raise ValueError(
            "Tensor 'patch_embed.common_conv.0.weight' marks a PyramidTNT, and the "
            "model is a TNT. Use a TNT's weights."
        )
    if "cls_token" not in tensors:
        found = ", ".join(list(tensors)[:5]) or "no tensor at all"
        raise ValueError(
            "Tensor 'cls_token' is missing: the file holds no TNT in official or timm "
            f"naming. It starts with {found}."
        )


def _check_unused(name, tensor):
    if np.any(tensor):
        raise ValueError(
            f"Tensor {name!r} is zero and unused in the published models, but not in "
            "this file, which must be of another architecture."
        )
