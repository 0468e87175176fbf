"""A tensor of a safetensors file that is read where its values are needed."""

import os
from typing import Any

import numpy as np

from keras_tnt.utils.typing import PathLike


class FileTensor:
    """What a dict of tensors holds instead of an array, so that memory is free of it.

    `numpy.asarray` reads the values, each time anew. Half precision becomes float32;
    integers (counters) stay as they are.

    Args:
        path: a ``.safetensors`` file.
        name: name of the tensor.
        shape: its shape.

    Raises:
        ValueError: if the file has changed since; from `numpy.asarray`.
    """

    def __init__(self, path: PathLike, name: str, shape: tuple[int, ...]):
        self.path = path
        self.name = name
        self.shape = shape
        self.ndim = len(shape)
        self._state = _state(path)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        from safetensors import safe_open

        # An open file takes as much memory of the process as was read of it.
        with safe_open(self.path, "np") as file:
            array = file.get_tensor(self.name)
        if _state(self.path) != self._state:
            raise ValueError(
                f"{self.path} changed while it was read. Load it again when it is "
                "written completely."
            )
        if array.dtype.kind not in "iub":
            array = array.astype("float32", copy=False)
        return array if dtype is None else array.astype(dtype, copy=False)


def _state(path):
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns
