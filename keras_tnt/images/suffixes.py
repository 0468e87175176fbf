"""Which files are images, by the suffix of their names."""

import collections
import os
from collections.abc import Iterable

SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".jif"}
SUFFIXES |= {".png", ".gif", ".bmp", ".webp"}


def has_image_suffix(name: str) -> bool:
    """Return whether a file is read as an image; hidden files are not."""
    return not name.startswith(".") and suffix(name) in SUFFIXES


def suffix(name: str) -> str:
    """Return the suffix of a file name in lower case, such as ``.jpg``."""
    return os.path.splitext(name)[1].lower()


def count_other_files(names: Iterable[str]) -> str:
    """Count files that are not read as images, by suffix; hidden files are ignored.

    Args:
        names: the names of all files.

    Returns:
        Such as ``"12 .heic, 1 .txt"``; empty if there are none.

    Example:
        >>> from keras_tnt.images.suffixes import count_other_files
        >>> count_other_files(["a.jpg", "b.HEIC", ".DS_Store", "c.heic", "d.txt"])
        '2 .heic, 1 .txt'
    """
    others = collections.Counter(
        suffix(name) or name
        for name in names
        if not name.startswith(".") and not has_image_suffix(name)
    )
    most = sorted(others.items(), key=lambda pair: (-pair[1], pair[0]))[:10]
    return ", ".join(f"{count} {kind}" for kind, count in most)
