"""Checks of counts and sizes: whole numbers, not too low."""

import operator
from typing import Any


def check_count(name: str, value: Any, lowest: int = 1) -> int:
    """Return a count as an `int`.

    Args:
        name: name of the argument, for the error.
        value: an `int` or another whole number, such as NumPy's.
        lowest: the lowest valid value.

    Raises:
        ValueError: if it is no whole number, or too low. Booleans, and floats such as
            2.0, are no whole numbers.

    Example:
        >>> import numpy
        >>> from keras_tnt.utils.counts import check_count
        >>> check_count("batch_size", numpy.int64(8))
        8
    """
    count = as_whole_number(value)
    if count is None:
        raise ValueError(
            f"{name} must be a whole number of at least {lowest}, got {value!r}."
        )
    if count < lowest:
        raise ValueError(f"{name} must be at least {lowest}, got {value!r}.")
    return count


def check_counts(**counts: Any) -> None:
    """Raise a `ValueError` unless all arguments are whole numbers of at least 1.

    Example:
        >>> from keras_tnt.utils.counts import check_counts
        >>> check_counts(dim=48, stride=4)
    """
    numbers = [as_whole_number(value) for value in counts.values()]
    if all(number is not None and number >= 1 for number in numbers):
        return
    *names, last = counts
    listed = f"{', '.join(names)} and {last}" if names else last
    expected = "whole numbers of at least 1" if None in numbers else "at least 1"
    got = ", ".join(f"{name}={value!r}" for name, value in counts.items())
    got = got if names else f"{counts[last]!r}"
    raise ValueError(f"{listed} must be {expected}, got {got}.")


def check_size(name: str, value: Any) -> tuple[int, int]:
    """Return the height and width of an image.

    Args:
        name: name of the argument, for the error.
        value: a pair (height, width), or a number for both.

    Raises:
        ValueError: if it is neither, or not above 0.

    Example:
        >>> from keras_tnt.utils.counts import check_size
        >>> check_size("image_size", 224), check_size("image_size", (32, 64))
        ((224, 224), (32, 64))
    """
    pair = value if isinstance(value, list | tuple) else (value, value)
    sides = [as_whole_number(side) for side in pair]
    if len(sides) != 2 or any(side is None or side < 1 for side in sides):
        raise ValueError(
            f"{name} must be a whole number of pixels or a pair (height, width), at "
            f"least 1, got {value!r}."
        )
    height, width = sides
    return height, width  # type: ignore[return-value]  # not None, see above


def as_whole_number(value: Any) -> int | None:
    """Return a value as an `int`, or ``None`` if it is no whole number."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None
