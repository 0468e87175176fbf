"""Moving an export into place, and numbering its versions."""

import os
from pathlib import Path


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


def next_version(path: Path) -> int:
    """Return the number after the last version of a model; 1 without any."""
    versions = [int(entry.name) for entry in path.glob("*") if entry.name.isdecimal()]
    return max(versions, default=0) + 1
