"""Checkpoints, each an atomically written file."""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_tnt.utils.files import atomic_write, local_path
from keras_tnt.utils.typing import PathLike

logger = logging.getLogger(__name__)


class Checkpoint(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        path: the file.
        tensors: dict from names to arrays.
        state: a dict of JSON types.
    """

    path: Path
    tensors: dict
    state: dict


class Checkpoints:
    """The newest checkpoints of a run, as safetensors files in a directory.

    A checkpoint is written to a temporary name, flushed to the disk and moved into
    place. It has a checksum of its tensors. A truncated or damaged checkpoint is
    detected, and the previous one is used.

    Args:
        directory: directory of the files; created when needed.
        keep: number of checkpoints to keep.

    Example:
        >>> import numpy
        >>> from keras_tnt.training.checkpoints import Checkpoints
        >>> checkpoints = Checkpoints("run/checkpoints", keep=2)
        >>> for step in (10, 20, 30):
        ...     _ = checkpoints.save(step, {"weight": numpy.ones(3)}, {"epoch": 1})
        >>> [path.name for path in checkpoints.paths()]
        ['step-00000020.safetensors', 'step-00000030.safetensors']
        >>> checkpoints.newest().state
        {'epoch': 1}
    """

    def __init__(self, directory: PathLike, keep: int = 3):
        self.directory = local_path(directory)
        self.keep = keep

    def paths(self) -> list[Path]:
        """Return the checkpoints, oldest first."""
        return sorted(self.directory.glob("step-*.safetensors"))

    def save(
        self, step: int, tensors: dict[str, np.ndarray], state: dict[str, Any]
    ) -> Path:
        """Write a checkpoint, and remove the oldest beyond `keep`.

        Args:
            step: number of steps so far; a checkpoint of the same step is replaced.
            tensors: dict from names to arrays.
            state: dict of JSON types.

        Returns:
            The file.

        Raises:
            OSError: if the file cannot be written, for example on a full disk. Older
                checkpoints are kept.
        """
        from safetensors.numpy import save

        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"step-{step:08}.safetensors"
        metadata = {"state": json.dumps(state), "sha256": digest(tensors)}
        try:
            with atomic_write(path) as unfinished, unfinished.open("wb") as file:
                file.write(save(tensors, metadata))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(
                error.errno,
                f"The checkpoint of step {step} could not be written "
                f"({error.strerror}). {self._last()} Make room and run the same "
                "command again: it goes on from there",
                str(path),
            ) from error
        left_by_killed_runs = self.directory.glob(".step-*.tmp.*")
        for old in [*self.paths()[: -self.keep], *left_by_killed_runs]:
            old.unlink(missing_ok=True)
        return path

    def newest(self) -> Checkpoint | None:
        """Return the newest intact checkpoint, and report the damaged ones.

        Returns:
            A `Checkpoint`, or ``None`` without any checkpoint.

        Raises:
            ValueError: if there are checkpoints, but all of them are damaged.
        """
        paths = self.paths()
        for path in reversed(paths):
            try:
                return _read(path)
            except ValueError as error:
                logger.warning("%s It is skipped.", error)
        if paths:
            raise ValueError(
                f"All checkpoints in {self.directory} are damaged. Delete the "
                "directory to start again."
            )
        return None

    def _last(self):
        paths = self.paths()
        return f"The last one is {paths[-1]}." if paths else "There is none before it."


def _read(path):
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        reason = str(error).rstrip(".")
        raise ValueError(f"The checkpoint {path} is damaged: {reason}.") from error
    if metadata.get("sha256") != digest(tensors):
        raise ValueError(
            f"The checkpoint {path} is damaged: its tensors do not have its checksum."
        )
    return Checkpoint(path, tensors, json.loads(metadata["state"]))


def digest(tensors: dict[str, np.ndarray]) -> str:
    """Return a checksum of named arrays."""
    checksum = hashlib.sha256()
    for name in sorted(tensors):
        checksum.update(name.encode())
        checksum.update(tensors[name].tobytes())
    return checksum.hexdigest()
