"""Reading upstream weight files as arrays, and writing them."""

import argparse
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_tnt.utils.files import atomic_write
from keras_tnt.utils.typing import PathLike
from keras_tnt.weights.file_tensor import TensorFile
from keras_tnt.weights.mapping import Tensors

# Keys under which training checkpoints keep their weights, at any depth, the preferred
# one first: averaged weights before the others.
CHECKPOINT_KEYS = (
    "state_dict_ema",
    "model_ema",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "module",
)
GRID_KEY = "patch_grid"  # in the metadata of a safetensors file


def read_tensors(path: PathLike) -> tuple[Tensors, dict[str, str]]:
    """Read a safetensors or PyTorch file.

    Args:
        path: a ``.safetensors``, ``.pth``, ``.pt`` or ``.pth.tar`` file.

    Returns:
        A pair: a dict from tensor names to float32 arrays, in the order of the file,
        and the file's own metadata, a dict of strings. Those of a safetensors file are
        `FileTensor` objects.

    Raises:
        ValueError: if the file is truncated or of another format than its name.
        ImportError: for a PyTorch file without PyTorch.
    """
    path = pathlib.Path(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _read_torch(path), {}


def recorded_grid(metadata: dict[str, str]) -> tuple[int, int] | None:
    """Return ``(rows, columns)`` of the patches, if a file's metadata tells them."""
    text = metadata.get(GRID_KEY)
    if text is None:
        return None
    rows, columns = (int(side) for side in text.split("x"))
    return rows, columns


def write_tensors(path: PathLike, tensors: Tensors, metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically: a crash leaves no partial file.

    Args:
        path: the file; its directory must exist. An existing file is replaced.
        tensors: dict from names to arrays.
        metadata: dict of strings, kept in the file's header.
    """
    from safetensors.numpy import save_file

    contiguous = {name: np.ascontiguousarray(t) for name, t in tensors.items()}
    with atomic_write(path) as unfinished:
        save_file(contiguous, unfinished, metadata)


def _read_safetensors(path):
    from safetensors import SafetensorError

    try:
        file = TensorFile(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a complete safetensors file ({error}): "
            f"{_first_damage(path)}. Download it again."
        ) from error
    return file.tensors(), file.metadata()


def _first_damage(path):
    """Name the tensor in which a truncated safetensors file ends."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 + length:
            return f"it ends after {size} bytes, inside its table of tensors"
        try:
            header = json.loads(file.read(length))
            spans = {
                name: [8 + length + offset for offset in entry["data_offsets"]]
                for name, entry in header.items()
                if name != "__metadata__"
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            return "its table of tensors is unreadable"
    cut = [name for name in spans if spans[name][1] > size]
    if not cut:
        return f"its {size} bytes do not match its table of tensors"
    first = min(cut, key=lambda name: spans[name][0])
    whole = max(end for _, end in spans.values())
    return f"it has {size} of {whole} bytes and ends before the end of tensor {first!r}"


def _read_torch(path):
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"Reading {path} needs PyTorch, which is not installed. Install it (pip "
            "install torch), or convert the file once where PyTorch is: "
            'safetensors.torch.save_file(torch.load("FILE.pth", weights_only=True), '
            '"FILE.safetensors"), and load that.'
        ) from error
    try:
        # timm's checkpoints of old contain the training's arguments.
        with torch.serialization.safe_globals([argparse.Namespace]):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no error class of its own for this
        raise ValueError(
            f"{path} is not a PyTorch checkpoint that can be read safely "
            f"({type(error).__name__}: {error}). Download it again; a file that holds "
            "more than tensors must be converted to safetensors where it was made."
        ) from error
    tensors = find_state_dict(checkpoint, torch.is_tensor)
    if tensors is None:
        found = list(checkpoint) if isinstance(checkpoint, dict) else checkpoint
        raise ValueError(
            f"{path} contains no state dict: found {str(found)[:200]} where tensors "
            f"were expected, at the top or under {', '.join(CHECKPOINT_KEYS)}."
        )
    return {
        name: (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        for name, tensor in tensors.items()
    }


def find_state_dict(
    checkpoint: Any, is_tensor: Callable[[Any], bool]
) -> dict[str, Any] | None:
    """Return the tensors in the nested dicts of a checkpoint.

    Args:
        checkpoint: content of the file.
        is_tensor: function that tells tensors.

    Returns:
        The first dict of nothing but tensors, at the top or under `CHECKPOINT_KEYS`;
        ``None`` without any.
    """
    if not isinstance(checkpoint, dict):
        return None
    if checkpoint and all(is_tensor(value) for value in checkpoint.values()):
        return checkpoint
    inner = (find_state_dict(checkpoint.get(k), is_tensor) for k in CHECKPOINT_KEYS)
    return next((tensors for tensors in inner if tensors is not None), None)
