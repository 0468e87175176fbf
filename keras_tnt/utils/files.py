"""Writing files atomically."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from keras_tnt.utils.typing import PathLike


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

    Example:
        >>> from pathlib import Path
        >>> from keras_tnt.utils.files import atomic_write
        >>> with atomic_write("labels.txt") as unfinished:
        ...     characters = unfinished.write_text("shirt")
        >>> Path("labels.txt").read_text()
        'shirt'
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
