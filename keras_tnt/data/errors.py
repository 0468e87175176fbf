"""Errors of a pipeline, as a person wants to read them."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Turns what a dataset's assertion says inside a graph's error into a ValueError.

    Raises:
        ValueError: for an image that cannot be read and the like, naming it.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.data.errors import readable_errors
        >>> @tf.function
        ... def read(ok):
        ...     tf.debugging.Assert(ok, ["cat.jpg", "cannot be read."])
        >>> try:
        ...     with readable_errors():
        ...         read(tf.constant(False))
        ... except ValueError as error:
        ...     print(error)
        cat.jpg cannot be read.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        said = re.search(r"assertion failed: \[(.*)\]", error.message)
        if not said:
            raise
        parts = said[1].split("] [")
        raise ValueError(" ".join(part.strip("b'\"") for part in parts)) from error
