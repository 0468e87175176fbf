"""Tensors of a safetensors file that are read where their values are needed."""

import os
from typing import Any

import numpy as np

from keras_tnt.utils.typing import PathLike

# Until it is closed, a file takes as much memory of the process as was read of it.
BYTES_AT_ONCE = 2**24


class FileTensor:
    """What a dict of tensors holds instead of an array, so that memory is free of it.

    `numpy.asarray` reads the values, each time anew. Half precision becomes float32;
    integers (counters) stay as they are.

    Args:
        file: the `TensorFile`.
        name: name of the tensor.
        shape: its shape.

    Raises:
        ValueError: if the file has changed since; from `numpy.asarray`.
    """

    def __init__(self, file: "TensorFile", name: str, shape: tuple[int, ...]):
        self.shape = shape
        self.ndim = len(shape)
        self._file = file
        self._name = name

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self._file.read(self._name)
        if array.dtype.kind not in "iub":
            array = array.astype("float32", copy=False)
        return array if dtype is None else array.astype(dtype, copy=False)


class TensorFile:
    """A safetensors file, opened anew after some megabytes.

    Args:
        path: a ``.safetensors`` file.

    Raises:
        safetensors.SafetensorError: if it is damaged.
    """

    def __init__(self, path: PathLike):
        self._path = path
        self._file: Any = None
        self._state = self._current_state()
        self._open()

    def tensors(self) -> dict[str, FileTensor]:
        """Return the tensors by name, in the order of the file."""
        return {
            name: FileTensor(self, name, tuple(self._file.get_slice(name).get_shape()))
            for name in self._file.offset_keys()
        }

    def metadata(self) -> dict[str, str]:
        """Return the file's own metadata."""
        return self._file.metadata() or {}

    def read(self, name: str) -> np.ndarray:
        """Return the values of a tensor, in the dtype of the file.

        Raises:
            ValueError: if the file has changed since.
        """
        if self._current_state() != self._state:
            raise ValueError(
                f"{self._path} changed while it was read. Load it again when it is "
                "written completely."
            )
        if self._bytes >= BYTES_AT_ONCE:
            self._file = None  # closes it
            self._open()
        array = self._file.get_tensor(name)
        self._bytes += array.nbytes
        return array

    def _open(self):
        from safetensors import safe_open

        self._file = safe_open(self._path, "np")
        self._bytes = 0

    def _current_state(self):
        status = os.stat(self._path)
        return status.st_ino, status.st_size, status.st_mtime_ns
