"""Moving an export into place, and numbering its versions."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_tnt.utils.counts import as_whole_number


@contextlib.contextmanager
def directory_beside(target: Path) -> Iterator[Path]:
    """Create a temporary directory beside a target, from which it can be moved.

    Parents of the target that do not exist are created too. After an error they are
    removed again.
    """
    missing = [parent for parent in target.parents if not parent.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as name:
            yield Path(name)
    except BaseException:
        with contextlib.suppress(OSError):  # something else was written there
            for parent in missing:
                parent.rmdir()
        raise


def move_into_place(written: Path, target: Path, replaced: Path) -> None:
    """Move a file or directory into place; restore the previous one on failure.

    Args:
        written: the file or directory to move.
        target: its destination.
        replaced: temporary place for an existing ``target``.
    """
    if target.exists():
        os.replace(target, replaced)
    try:
        os.replace(written, target)
    except BaseException:
        if replaced.exists():
            os.replace(replaced, target)
        raise


def choose_version(path: Path, version: int | None) -> int:
    """Return a valid version of a model, by default the number after its last one.

    Args:
        path: the directory of the model.
        version: the version, or ``None``.

    Raises:
        ValueError: if ``version`` is not a positive whole number.
    """
    if version is None:
        return _next_version(path)
    number = as_whole_number(version)
    if number is None or number < 1:
        raise ValueError(f"version must be a positive whole number, got {version!r}.")
    return number


def choose_version_directory(path: Path, version: int | None, overwrite: bool) -> Path:
    """Return the directory of a version to write; its name is the version.

    Args:
        path: the directory of the model.
        version: the version, or ``None`` for the number after the last one.
        overwrite: whether an existing version may be replaced.

    Raises:
        ValueError: if ``version`` is not a positive whole number.
        FileExistsError: if the version exists, without ``overwrite``.
    """
    target = path / str(choose_version(path, version))
    if target.exists() and not overwrite:
        raise FileExistsError(
            f"{target} exists. Choose another version, omit it for the next free one, "
            "or pass overwrite=True."
        )
    return target


def _next_version(path):
    versions = [int(entry.name) for entry in path.glob("*") if entry.name.isdecimal()]
    return max(versions, default=0) + 1
