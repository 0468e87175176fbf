"""Broken pictures: named in an error, or skipped and counted."""

import logging

import tensorflow as tf

logger = logging.getLogger(__name__)


def load_guarded(source, index, transform, shape, tries, skip_broken):
    """Reads and transforms a picture, or the next one that can be.

    Args:
        source: an `ImageSource`.
        index: of the picture, an int64 tensor.
        transform: takes the encoded picture, returns a float32 image.
        shape: of the image.
        tries: how many pictures may be tried, an int64 tensor or a number.
        skip_broken: skip and note broken pictures; otherwise they are errors.

    Returns:
        The image; its label; and how many pictures were broken before it. Where all
        tries failed the image is black, the label 0.

    Raises:
        tf.errors.InvalidArgumentError: when it runs: for a broken picture that is not
            skipped, or a label that is none of the classes'.
    """
    tries = tf.cast(tries, tf.int64)

    def attempt(number):
        contents, label = source.fetch((index + number) % len(source))
        return transform(contents), label, number

    # Errors of an op cannot be caught in a graph, but those of a dataset can.
    nothing = tf.data.Dataset.from_tensors(
        (tf.zeros(shape), tf.constant(0, tf.int64), tries)
    )
    attempts = tf.data.Dataset.range(tries).map(attempt).ignore_errors()
    image, label, broken = attempts.concatenate(nothing).take(1).get_single_element()
    if skip_broken:
        note = lambda: _note(source, index, broken)  # noqa: E731
        tf.cond(broken > 0, note, lambda: tf.constant(0, tf.int64))
    else:
        message = "cannot be read or decoded. Mend or remove it, or skip_broken=True."
        tf.debugging.Assert(broken == 0, [source.describe(index), message])
    classes = len(source.class_names)
    name = source.describe((index + broken) % len(source))
    message = f"has a label outside 0 to {classes - 1}, the labels of its classes:"
    tf.debugging.Assert((label >= 0) & (label < classes), [name, message, label])
    return image, label, broken


def _note(source, index, broken):
    """Notes and logs the pictures that were skipped."""

    def note(index, broken, names):
        for number, name in enumerate(names):
            at = int(index + number) % len(source)
            if at not in source.broken:
                source.broken[at] = name.decode()
                message = "Skipped %s: it cannot be read or decoded."
                logger.warning(message, source.broken[at])
        return broken

    indices = (index + tf.range(broken)) % len(source)
    return tf.numpy_function(note, [index, broken, source.describe(indices)], tf.int64)
