"""Corrupt images in a pipeline: replaced, or named in a readable error."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator

from keras_tnt.data.box_source import BoxSource, box_fault
from keras_tnt.data.mask_decoding import mask_fault
from keras_tnt.data.mask_source import MaskSource
from keras_tnt.data.source import ImageSource
from keras_tnt.images import decode_image
from keras_tnt.images.decode import explain_failure
from keras_tnt.utils.assertions import assertion_text
from keras_tnt.utils.lazy import tensorflow as tf

logger = logging.getLogger(__name__)

Source = ImageSource | MaskSource | BoxSource

# TensorFlow's permanent errors. All others, such as network errors, can be temporary.
PERMANENT_ERRORS = {
    "DataLossError",
    "FailedPreconditionError",  # such as a directory
    "InvalidArgumentError",
    "NotFoundError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "UnimplementedError",
}


def map_with_fallback(
    samples: tf.data.Dataset,
    load: Callable,
    replace: Callable,
    total: int,
    parallel_calls: int | None,
) -> tf.data.Dataset:
    """Load samples in parallel and in order, and replace those that fail.

    A graph cannot catch the errors of an op, but a dataset can drop elements that
    fail. The missing numbers then tell which samples to replace. This costs nothing
    while nothing fails.

    Args:
        samples: a `tf.data.Dataset` of the arguments of `load`.
        load: function that returns a tuple of tensors of static shape. It may fail.
        replace: function from the number of a failed sample, an int64 tensor, and
            zeros like the results of `load`, to its replacement.
        total: number of samples.
        parallel_calls: number of samples loaded at the same time.

    Returns:
        A `tf.data.Dataset` of the results of `load`, in order.
    """
    numbered = samples.enumerate().map(
        lambda number, sample: (number, load(*sample)),
        num_parallel_calls=parallel_calls,
    )
    spec = numbered.element_spec[1]
    nothing = _zeros(spec)
    end = tf.data.Dataset.from_tensors((tf.constant(total, tf.int64), nothing))

    def expect(expected, element):
        number, loaded = element
        return number + 1, (expected, number, loaded)

    def fill(expected, number, loaded):
        is_sample = tf.cast(number < total, tf.int32)  # and not the end
        kept = [tensor[tf.newaxis][:is_sample] for tensor in loaded]

        def add_missing():
            missing = tf.range(expected, number)
            added = tf.map_fn(
                lambda number: replace(number, nothing),
                missing,
                fn_output_signature=spec,
            )
            return [tf.concat(pair, 0) for pair in zip(added, kept, strict=True)]

        filled = tf.cond(number > expected, add_missing, lambda: kept)
        return tuple(
            tf.ensure_shape(value, (None, *tensor.shape))
            for value, tensor in zip(filled, spec, strict=True)
        )

    complete = numbered.ignore_errors().concatenate(end)
    return complete.scan(tf.constant(0, tf.int64), expect).map(fill).unbatch()


def _zeros(spec):
    return tuple(tf.zeros(tensor.shape, tensor.dtype) for tensor in spec)


def stop_at(source: Source, index: tf.Tensor) -> tf.Operation:
    """Return an op that ends the dataset with an error that names a corrupt image."""

    def explain(index):
        return explain_image(source, index).encode()

    message = tf.numpy_function(explain, [index], tf.string)
    return tf.debugging.Assert(False, [source.describe(index), message])


def explain_image(source: Source, index: int) -> str:
    """Say why an image cannot be used, and what to do; a sentence without subject."""
    reason, corrupt = find_fault(source, index)
    if not corrupt:
        return f"{reason}."
    return (
        f"cannot be read or decoded: {reason}. Fix or delete it, or pass "
        "skip_corrupt=True."
    )


def next_readable(
    source: Source, index: tf.Tensor, load: Callable
) -> tuple[tf.Tensor, ...]:
    """Load the first readable image after a corrupt one, and note the corrupt ones.

    Args:
        source: an `ImageSource`.
        index: index of the corrupt image, an int64 tensor.
        load: function from the index of an image to its tensors. It may fail.

    Returns:
        The result of `load`.

    Raises:
        tf.errors.InvalidArgumentError: at run time, if no image is readable.
    """
    distances = tf.data.Dataset.range(1, len(source))
    others = distances.map(lambda d: (d, load((index + d) % len(source))))
    size = tf.constant(len(source), tf.int64)
    none = tf.data.Dataset.from_tensors((size, _zeros(others.element_spec[1])))
    found = others.ignore_errors().concatenate(none).take(1)
    distance, loaded = found.get_single_element()
    noted = note_corrupt(source, (index + tf.range(distance)) % len(source))
    with tf.control_dependencies([noted]):
        message = f"No image of {source.name!r} can be read or decoded."
        any_readable = tf.debugging.Assert(distance < size, [message])
    with tf.control_dependencies([any_readable]):
        return tuple(tf.identity(tensor) for tensor in loaded)


def note_corrupt(source: Source, indices: tf.Tensor) -> tf.Operation:
    """Return an op that adds images to `ImageSource.corrupt`, and logs the new ones.

    It fails if the image is not the cause, as with a network error.
    """

    def note(indices, names):
        for index, name in zip(indices.tolist(), names.tolist(), strict=True):
            if index in source.corrupt:
                continue
            name = name.decode()
            reason, corrupt = find_fault(source, index)
            if not corrupt:
                return f"{name} {reason}.".encode()
            source.corrupt[index] = name
            message = "Skipped %s: it cannot be read or decoded: %s."
            logger.warning(message, name, reason)
        return b""

    fault = tf.numpy_function(note, [indices, source.describe(indices)], tf.string)
    return tf.debugging.Assert(tf.equal(fault, ""), [fault])


def find_fault(source: Source, index: int) -> tuple[str, bool]:
    """Return why an image cannot be used, and whether it can be skipped as corrupt.

    A dataset drops an element without the reason, so the image is read again. A reason
    to skip it follows "cannot be read or decoded: ", any other one its name.
    """
    try:
        with tf.device("/cpu:0"):
            contents, target = source.fetch(tf.constant(index, tf.int64))
    except tf.errors.OpError as error:
        reason = _describe_error(error)
        if type(error).__name__ in PERMANENT_ERRORS:
            return reason, True
        return f"cannot be read: {reason}", False
    try:
        with tf.device("/cpu:0"):
            image = decode_image(contents)
    except tf.errors.OpError as error:
        if type(error).__name__ not in PERMANENT_ERRORS:
            return f"cannot be read: {_describe_error(error)}", False
        return f"it {explain_failure(contents.numpy(), error)}", True
    size = tuple(image.shape[:2])
    fault = None
    if isinstance(source, MaskSource):
        fault = mask_fault(source, target.numpy(), size)
    elif isinstance(source, BoxSource):
        fault = box_fault(source, target.numpy(), size)
    if fault:
        return fault, False
    return (
        "cannot be read: it failed at first, but not when it was read again. Check the "
        "file system or network, and start again",
        False,
    )


def _describe_error(error):
    """The kind of an error, such as `UNAVAILABLE`, and its text without the op."""
    text = re.sub(r"^\{\{.*?\}\} | \[Op:.*$", "", error.message.partition("\n")[0])
    return f"{type(error).__name__.removesuffix('Error')}: {text}".rstrip(".")


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Turn the message of a dataset's failed assertion into a ValueError.

    Raises:
        ValueError: for an image that cannot be read and the like, naming it.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.data.error_handling import readable_errors
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
        text = assertion_text(error)
        if text is None:
            raise
        raise ValueError(text) from error
