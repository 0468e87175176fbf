"""Loads images in order; broken ones are named in an error, or replaced."""

import logging
from collections.abc import Callable

import tensorflow as tf

from keras_tnt.data.source import ImageSource

logger = logging.getLogger(__name__)


def map_with_fallback(
    samples: tf.data.Dataset,
    load: Callable,
    replace: Callable,
    total: int,
    parallel_calls: int | None,
) -> tf.data.Dataset:
    """Loads samples at some at a time, and replaces those that fail.

    The errors of an op cannot be caught in a graph, but a dataset can leave out what
    fails. Numbers that are missing then tell what has to be replaced. This costs
    nothing while nothing fails.

    Args:
        samples: a `tf.data.Dataset`; an element is what `load` takes.
        load: returns a tuple of tensors of static shape; may fail.
        replace: takes the number of a sample that failed, an int64 tensor, and tensors
            like those that `load` returns; returns what takes its place.
        total: number of samples.
        parallel_calls: number of samples loaded at a time.

    Returns:
        A `tf.data.Dataset` of what `load` returned, in order.
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


def stop_at(source: ImageSource, index: tf.Tensor) -> tf.Operation:
    """Ends the dataset with an error that names a broken image."""
    message = "cannot be read or decoded. Mend or remove it, or pass skip_corrupt=True."
    return tf.debugging.Assert(False, [source.describe(index), message])


def next_readable(
    source: ImageSource, index: tf.Tensor, load: Callable
) -> tuple[tf.Tensor, ...]:
    """Loads the first readable image behind a broken one; notes those that are not.

    Args:
        source: an `ImageSource`.
        index: of the broken image, an int64 tensor.
        load: takes the index of an image; may fail.

    Returns:
        What `load` returned.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, if there is none.
    """
    distances = tf.data.Dataset.range(1, len(source))
    others = distances.map(lambda d: (d, load((index + d) % len(source))))
    size = tf.constant(len(source), tf.int64)
    none = tf.data.Dataset.from_tensors((size, _zeros(others.element_spec[1])))
    found = others.ignore_errors().concatenate(none).take(1)
    distance, loaded = found.get_single_element()
    message = f"None of the images of {source.name!r} can be read or decoded."
    tf.debugging.Assert(distance < size, [message])
    noted = note_corrupt(source, (index + tf.range(distance)) % len(source))
    with tf.control_dependencies([noted]):
        return tuple(tf.identity(tensor) for tensor in loaded)


def note_corrupt(source: ImageSource, indices: tf.Tensor) -> tf.Tensor:
    """Notes images in `ImageSource.broken`, and logs those that are new there."""

    def note(indices, names):
        for index, name in zip(indices.tolist(), names.tolist(), strict=True):
            if index not in source.broken:
                source.broken[index] = name.decode()
                message = "Skipped %s: it cannot be read or decoded."
                logger.warning(message, source.broken[index])
        return indices

    return tf.numpy_function(note, [indices, source.describe(indices)], tf.int64)
