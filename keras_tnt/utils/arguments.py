"""Checks of arguments that take several values."""

from collections.abc import Iterable
from typing import Any


def as_list(name: str, values: Any) -> list:
    """Return the values of an argument that takes several.

    Args:
        name: name of the argument, for the error.
        values: a list, tuple, array or other iterable.

    Raises:
        ValueError: if it is a single value. A string or a variable is one, although
            both can be iterated.

    Example:
        >>> from keras_tnt.utils.arguments import as_list
        >>> as_list("blocks", (3, 6))
        [3, 6]
    """
    is_single = isinstance(values, (str, bytes)) or hasattr(values, "assign")
    if isinstance(values, Iterable) and not is_single:
        try:
            return list(values)
        except TypeError:  # an array of rank 0
            pass
    raise ValueError(
        f"{name} must be a list or tuple, got {values!r}. Put it into one."
    )
