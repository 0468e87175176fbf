"""Files and directories of exports."""

import os
from pathlib import Path


def move_into_place(written: Path, target: Path, replaced: Path) -> None:
    """Moves a file or directory; what was there before goes away only if that worked.

    Args:
        written: what to move.
        target: where to.
        replaced: where what was there before goes.
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
    """The number after the last version in a model's directory; 1 in an empty one."""
    versions = [int(entry.name) for entry in path.glob("*") if entry.name.isdecimal()]
    return max(versions, default=0) + 1
