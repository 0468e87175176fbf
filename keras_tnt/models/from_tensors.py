"""Build the model that upstream tensors belong to."""

import math
import pathlib
import re
from typing import Any

import keras

from keras_tnt.compat.model_files import load_keras_file
from keras_tnt.models import pyramid_tnt, tnt
from keras_tnt.structure import find_tnt
from keras_tnt.utils.typing import PathLike
from keras_tnt.weights import convert_pyramid_tnt, convert_tnt
from keras_tnt.weights.mapping import Tensors
from keras_tnt.weights.resample import Grid
from keras_tnt.weights.tensor_files import read_tensors, recorded_grid
from keras_tnt.weights.transfer import assign_upstream

PATCH_SIZE = 16
PYRAMID_PATCH_SIZE = 8


def read_model(path: PathLike) -> keras.Model:
    """Return the model of a file: a published checkpoint, or a ``.keras`` file.

    Args:
        path: a ``.keras`` file of a TNT or PyramidTNT, or a ``.safetensors``, ``.pth``,
            ``.pt`` or ``.pth.tar`` file with official or timm names.

    Returns:
        A functional `keras.Model` with the weights of the file.

    Raises:
        ValueError: if the file is damaged, or not a TNT or PyramidTNT of a known size.
        ImportError: for a PyTorch file without PyTorch.
    """
    path = pathlib.Path(path)
    try:
        if path.name.endswith(".keras"):
            model = load_keras_file(path)
            if find_tnt(model) is not model:
                raise ValueError(
                    f"is a model with a TNT as its layer {find_tnt(model).name!r}. "
                    "Save that layer in a file of its own."
                )
            return model
        if path.name.endswith(".weights.h5"):
            raise ValueError("does not tell its architecture. Save it as .keras.")
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error
    tensors, metadata = read_tensors(path)
    try:
        return build_from_tensors(tensors, recorded_grid(metadata))
    except ValueError as error:
        raise ValueError(f"{path} cannot be converted. {error}") from error


def build_from_tensors(tensors: Tensors, grid: Grid | None = None) -> keras.Model:
    """Build a TNT or PyramidTNT with the widths and weights of a published file.

    The shapes tell widths, depths, image size, classes, and whether there are biases
    and squeeze-and-excitation. They do not tell the number of inner heads: it is that
    of the published size of the same widths.

    Args:
        tensors: dict from official or timm names to arrays.
        grid: ``(rows, columns)`` of the patches; square by default.

    Returns:
        A functional `keras.Model`. Without a head among the tensors it returns the
        features of the class token, or a PyramidTNT's mean over the patches.

    Raises:
        ValueError: if the tensors are of another architecture or size.
    """
    is_pyramid = any(
        name.endswith(convert_pyramid_tnt.FIRST_KERNEL) for name in tensors
    )
    converter = convert_pyramid_tnt if is_pyramid else convert_tnt
    named = converter.standard_names(tensors)
    try:
        if is_pyramid:
            model = pyramid_tnt.PyramidTNT(**_pyramid_options(named, grid))
        else:
            model = tnt.TNT(**_tnt_options(named, grid))
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise ValueError(
            f"The file has no complete {'PyramidTNT' if is_pyramid else 'TNT'}: "
            f"{error} is missing or has another shape than in the published files."
        ) from error
    assign_upstream(model, tensors, grid)
    return model


def _tnt_options(tensors, grid):
    _, tokens, outer_dim = tensors["patch_pos"].shape
    inner_dim, channels, *_ = tensors["pixel_embed.proj.weight"].shape
    side = tensors["pixel_pos"].shape[-1]
    if PATCH_SIZE % side:
        raise ValueError(
            f"'pixel_pos' has {side}x{side} pixels in a patch. Expected a divisor of "
            f"{PATCH_SIZE}, the side of a patch in the published models."
        )
    rows, columns = grid or _square(tokens - 1)
    depth = _count(tensors, r"blocks\.(\d+)\.")
    inner = [i for i in range(depth) if f"blocks.{i}.norm_in.weight" in tensors]
    return {
        **_heads(tnt.VARIANTS, outer_dim, inner_dim),
        **_common(tensors, "blocks.0", "attn_out.qk", "mlp", outer_dim),
        "depth": depth,
        "inner_blocks": [index + 1 for index in inner],
        "patch_size": PATCH_SIZE,
        "inner_stride": PATCH_SIZE // side,
        "input_shape": (PATCH_SIZE * rows, PATCH_SIZE * columns, channels),
        "pooling": "token",
    }


def _pyramid_options(tensors, grid):
    _, patches, outer_dim = tensors["outer_pos"].shape
    inner_dim = tensors["inner_pos"].shape[-1]
    channels = tensors[convert_pyramid_tnt.FIRST_KERNEL].shape[1]
    rows, columns = grid or _square(patches)
    stages = (rf"stages\.{stage}\.blocks\.(\d+)\." for stage in range(4))
    return {
        **_heads(pyramid_tnt.VARIANTS, outer_dim, inner_dim),
        **_common(tensors, "stages.0.blocks.0", "outer_attn.q", "outer_mlp", outer_dim),
        "depths": [_count(tensors, stage) for stage in stages],
        "input_shape": (
            PYRAMID_PATCH_SIZE * rows,
            PYRAMID_PATCH_SIZE * columns,
            channels,
        ),
        "pooling": "avg",
    }


def _common(tensors, block, queries, mlp, dim) -> dict[str, Any]:
    """Options of both architectures, told by the first block."""
    excitation = tensors.get(f"{block}.se_layer.fc.1.weight")
    classes = tensors["head.weight"].shape[0] if "head.weight" in tensors else None
    head = {"include_top": False} if classes is None else {"classes": classes}
    return head | {
        "mlp_ratio": tensors[f"{block}.{mlp}.fc1.weight"].shape[0] / dim,
        "qkv_bias": f"{block}.{queries}.bias" in tensors,
        "se_ratio": 0.0 if excitation is None else excitation.shape[0] / dim,
    }


def _heads(variants, outer_dim, inner_dim):
    """Widths and heads of the published size of these widths."""
    fields = ("outer_dim", "inner_dim", "outer_num_heads", "inner_num_heads")
    for row in variants.values():
        if (row["outer_dim"], row["inner_dim"]) == (outer_dim, inner_dim):
            return {field: row[field] for field in fields}
    raise ValueError(
        f"No published size has outer_dim={outer_dim} and inner_dim={inner_dim}, and "
        "the file does not tell the number of heads. Build the model with "
        "keras_tnt.TNT or keras_tnt.PyramidTNT, and load the file with "
        "keras_tnt.load_weights."
    )


def _count(tensors, pattern):
    matches = (re.match(pattern, name) for name in tensors)
    return 1 + max((int(match[1]) for match in matches if match), default=-1)


def _square(count):
    side = math.isqrt(count)
    if side * side != count:
        raise ValueError(
            f"The file has positions of {count} patches, which are no square. Load it "
            "with keras_tnt.load_weights into a model of its image size."
        )
    return side, side
