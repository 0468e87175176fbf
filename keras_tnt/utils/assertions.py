"""The text of failed assertions in TensorFlow graphs."""

from __future__ import annotations

import re

from keras_tnt.utils.lazy import tensorflow as tf


def assertion_text(error: tf.errors.OpError) -> str | None:
    """Return what a failed `tf.debugging.Assert` says, or `None` for other errors.

    Args:
        error: the error that TensorFlow raised.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.utils.assertions import assertion_text
        >>> try:
        ...     tf.debugging.Assert(False, ["cat.jpg", "cannot be read."])
        ... except tf.errors.InvalidArgumentError as error:
        ...     print(assertion_text(error))
        cat.jpg cannot be read.
    """
    in_graph = re.search(r"assertion failed: \[(.*)\]", error.message)
    if in_graph:
        return " ".join(in_graph[1].split("] ["))
    eager = re.search(r"Summarized data: (.*)", error.message, re.DOTALL)
    if eager:  # strings are written as in Python
        return " ".join(
            re.sub(r"^b(['\"])(.*)\1$", r"\2", eager[1], flags=re.MULTILINE).split("\n")
        )
    return None
