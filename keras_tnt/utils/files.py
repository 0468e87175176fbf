"""Writing files atomically, and creating directories for results."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_tnt.utils.typing import PathLike

# A pathlib.Path has one slash of the two. A drive of Windows is a single letter.
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def local_path(path: PathLike) -> Path:
    """Return a path that files can be written to.

    Args:
        path: a path.

    Returns:
        A `pathlib.Path`.

    Raises:
        ValueError: if the path is a URL, which `pathlib` would take for a directory.

    Example:
        >>> from keras_tnt.utils.files import local_path
        >>> local_path("runs/demo").name
        'demo'
    """
    if URL.match(os.fspath(path)):
        raise ValueError(
            f"Cannot write to {os.fspath(path)!r}: it is a URL. Write to a local or "
            "mounted directory, and copy the files from there."
        )
    return Path(path)


def create_directory(path: PathLike) -> Path:
    """Create a new directory.

    Args:
        path: the directory, which must not exist or be empty.

    Returns:
        A `pathlib.Path`.

    Raises:
        FileExistsError: if ``path`` exists and is not an empty directory.
        ValueError: if ``path`` is a URL.

    Example:
        >>> from keras_tnt.utils.files import create_directory
        >>> create_directory("runs/demo").is_dir()
        True
    """
    path = local_path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(
            f"{path} exists and is not an empty directory. Choose another one with "
            "--out, or delete it first."
        )
    path.mkdir(parents=True, exist_ok=True)
    return path


def create_or_next_directory(path: PathLike | None, default: str) -> Path:
    """Create the given directory, or one of a default name.

    Args:
        path: the directory, as in `create_directory`, or ``None``.
        default: the name without ``path``; where it exists, the next free number is
            appended.

    Returns:
        A `pathlib.Path`.

    Raises:
        FileExistsError: if ``path`` exists and is not an empty directory.
        ValueError: if ``path`` is a URL.

    Example:
        >>> from keras_tnt.utils.files import create_or_next_directory
        >>> [create_or_next_directory(None, "plots").name for _ in range(2)]
        ['plots', 'plots-2']
    """
    if path:
        return create_directory(path)
    candidate, number = Path(default), 1
    while candidate.exists():
        number += 1
        candidate = Path(f"{default}-{number}")
    return create_directory(candidate)


@contextlib.contextmanager
def atomic_write(path: PathLike) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path, and rename it on success.

    If writing fails, the old file stays and the temporary one is deleted. A process
    that is killed meanwhile leaves ``.NAME.PID.tmp.SUFFIX``.

    Args:
        path: the file; its directory must exist.

    Yields:
        A `pathlib.Path` in the same directory, with the same suffix.

    Raises:
        OSError: if the file cannot be moved into place.
        ValueError: if ``path`` is a URL.

    Example:
        >>> from pathlib import Path
        >>> from keras_tnt.utils.files import atomic_write
        >>> with atomic_write("labels.txt") as unfinished:
        ...     characters = unfinished.write_text("shirt")
        >>> Path("labels.txt").read_text()
        'shirt'
    """
    path = local_path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def sha256(path: PathLike) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Example:
        >>> from pathlib import Path
        >>> from keras_tnt.utils.files import sha256
        >>> size = Path("empty").write_bytes(b"")
        >>> sha256("empty")[:8]
        'e3b0c442'
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(record: Mapping[str, Any], path: PathLike) -> None:
    """Write a record as a JSON file, atomically.

    Args:
        record: what `json` can encode.
        path: the file; its directory must exist.

    Raises:
        OSError: if the file cannot be moved into place.
        TypeError: if a value cannot be encoded.
        ValueError: if ``path`` is a URL.

    Example:
        >>> from pathlib import Path
        >>> from keras_tnt.utils.files import write_json
        >>> write_json({"images": 40}, "report.json")
        >>> Path("report.json").read_text().split()
        ['{', '"images":', '40', '}']
    """
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
