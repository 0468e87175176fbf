"""Batches for training and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.data.datasets import load_dataset
from keras_tnt.data.error_handling import map_with_fallback, stop_at
from keras_tnt.data.sampler import (
    EvaluationSampler,
    Shard,
    TrainingSampler,
)
from keras_tnt.data.source import ImageSource, check_single_label
from keras_tnt.images import CROP_FRACTION
from keras_tnt.utils.counts import as_whole_number, check_count, check_size
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike

AUTOTUNE = -1  # tf.data.AUTOTUNE


def image_dataset(
    data: str | ImageSource,
    split: str | None = None,
    *,
    batch_size: int,
    image_size: int | tuple[int, int] = 224,
    channels: int = 3,
    augmentation: Augmentation | None = None,
    label_smoothing: float = 0.0,
    seed: int = 0,
    epochs: int = 1,
    first_step: int = 0,
    worker: int = 0,
    workers: int = 1,
    replicas: int = 1,
    crop_fraction: float = CROP_FRACTION,
    classes: int | None = None,
    skip_corrupt: bool = False,
    cache: bool = False,
    parallel_calls: int | None = None,
    prefetch: int | None = None,
    data_dir: PathLike | None = None,
) -> tf.data.Dataset:
    """Return batches of a data set, for training or for evaluation.

    With an augmentation, the batches are for training. Every epoch shows the images in
    another order and has as many steps as there are full batches. Everything random is
    a function of the seed and the step. So the same step sees the same batch after any
    restart, on any number of workers and replicas.

    Without one, the batches are for evaluation. Every image occurs once, in a fixed
    order. Black images of weight 0 fill the last batch.

    Args:
        data: a name or directory for `load_dataset`, or the `ImageSource` it returned.
        split: the split; see `load_dataset`.
        batch_size: number of images in a step, on all workers and replicas together.
        image_size: size of the images, a number or a pair (height, width).
        channels: 1 for gray, 3 for color; images of the other kind are converted.
        augmentation: an `Augmentation` for training; `None` for evaluation.
        label_smoothing: probability that is distributed equally over all classes.
        seed: seed of everything random.
        epochs: number of passes.
        first_step: number of steps to skip, which costs no time.
        worker: this worker, from 0.
        workers: number of workers, each with its own dataset.
        replicas: number of replicas of a worker. A step has one batch for each of
            them, as `tf.distribute.Strategy.distribute_datasets_from_function` expects.
        crop_fraction: share of the image in the center crop, as in
            `keras_tnt.preprocess_input`; for evaluation, and for training without
            random crops.
        classes: number of classes of the model, for a check.
        skip_corrupt: skip images that cannot be read or decoded, and note them in
            `ImageSource.corrupt`, instead of raising an error. In training the next
            image replaces them, in evaluation they get weight 0. Temporary faults,
            such as network errors, always raise an error.
        cache: keep all encoded images in memory.
        parallel_calls: number of images processed at the same time, at least 1; tuned
            by TensorFlow by default.
        prefetch: number of batches made in advance, 0 for none; tuned by TensorFlow by
            default.
        data_dir: directory of tfds' data sets; see `load_dataset`.

    Returns:
        A `tf.data.Dataset` of known cardinality and static shapes, with the elements
        `(images, labels)`, or for evaluation `(images, labels, weights)`:
        float32 (batch, height, width, channels) with values 0-255, float32
        (batch, classes), and float32 (batch,), where `batch` is `batch_size` divided by
        all replicas. Labels are one-hot, but for an `ImageSource` of several labels,
        which has a 1 for each right answer.

    Raises:
        ValueError: for a count that is not a whole number or too low, a batch that is
            larger than the set or cannot be divided, another number of classes, or
            training on images of several labels.
        tf.errors.InvalidArgumentError: when the dataset meets an image that cannot be
            read, or a wrong label; it names the image.

    Example:
        >>> from keras_tnt.data import FLIP_AUGMENTATION, image_dataset
        >>> train = image_dataset("fashion_mnist_mini", "train[:10%]", batch_size=64,
        ...                       image_size=28, channels=1,
        ...                       augmentation=FLIP_AUGMENTATION, epochs=2)
        >>> len(train)
        36
        >>> images, labels = next(iter(train))
        >>> images.shape, labels.shape
        (TensorShape([64, 28, 28, 1]), TensorShape([64, 10]))
    """
    source = (
        data if isinstance(data, ImageSource) else load_dataset(data, split, data_dir)
    )
    if augmentation is not None or not isinstance(data, ImageSource):
        check_single_label(source)
    batch_size = check_count("batch_size", batch_size)
    epochs = check_count("epochs", epochs)
    first_step = check_count("first_step", first_step, 0)
    worker = check_count("worker", worker, 0)
    workers = check_count("workers", workers)
    replicas = check_count("replicas", replicas)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be from 0 to 1, got {label_smoothing}.")
    _check(source, batch_size, augmentation, classes)
    parallel_calls = _tuned("parallel_calls", parallel_calls, 1)
    prefetch = _tuned("prefetch", prefetch, 0)
    if cache:
        source = source.in_memory()
    shape = image_shape(image_size, channels)
    if augmentation is None:
        steps_per_epoch = -(-len(source) // batch_size)
        shard = Shard(batch_size, steps_per_epoch, worker, workers, replicas)
        sampler: Any = EvaluationSampler(source, shard, shape, crop_fraction)
    else:
        steps_per_epoch = len(source) // batch_size
        group_size = augmentation.group_size(batch_size)
        shard = Shard(
            batch_size, steps_per_epoch, worker, workers, replicas, group_size
        )
        sampler = TrainingSampler(
            source, shard, shape, crop_fraction, augmentation, seed
        )
    steps = range(first_step, epochs * steps_per_epoch)
    finish = _finish(sampler, label_smoothing)
    return make_batches(sampler, steps, finish, skip_corrupt, parallel_calls, prefetch)


def make_batches(
    sampler: Any,
    steps: range,
    finish: Callable,
    skip_corrupt: bool,
    parallel_calls: int = AUTOTUNE,
    prefetch: int = AUTOTUNE,
) -> tf.data.Dataset:
    """Return the batches of some steps, those of the replicas one after the other.

    Args:
        sampler: a sampler, such as `TrainingSampler`.
        steps: the steps.
        finish: function from a step, the number of the first image in the batch, and a
            batch of what the sampler's `load` returns, to an element of the dataset.
        skip_corrupt: as in `image_dataset`, like the other arguments.
        parallel_calls: number of images processed at the same time.
        prefetch: number of batches made in advance.
    """
    # Nothing there needs autograph; without it, tracing takes a third of the time.
    batches = tf.autograph.experimental.do_not_convert(_batches)
    dataset = batches(sampler, steps, finish, skip_corrupt, parallel_calls)
    options = tf.data.Options()
    options.deterministic = True
    policy = tf.data.experimental.AutoShardPolicy.OFF  # this is one worker's part
    options.experimental_distribute.auto_shard_policy = policy
    return dataset.prefetch(prefetch).with_options(options)


def _batches(sampler, steps, finish, skip_corrupt, parallel_calls):
    shard = sampler.shard
    loaded = _load(sampler, steps, skip_corrupt, parallel_calls)
    chunks = loaded.batch(shard.chunk, drop_remainder=True)
    per_step = shard.loaded_per_step // shard.chunk

    def finish_chunk(number, chunk):
        first = shard.loaded.start + number % per_step * shard.chunk
        return finish(number // per_step, first, *chunk)

    finished = chunks.enumerate(steps.start * per_step).map(
        finish_chunk, num_parallel_calls=parallel_calls
    )
    if shard.chunk != shard.of_replica:
        finished = finished.map(lambda *batch: _per_replica(shard, batch)).unbatch()
    count = tf.data.experimental.assert_cardinality(len(steps) * shard.replicas)
    return finished.apply(count)


def _per_replica(shard, batch):
    """A worker's part of what it loaded, with a first axis of its replicas."""
    shape = (shard.replicas, shard.of_replica)
    return tuple(
        tf.reshape(values[shard.own], (*shape, *values.shape[1:])) for values in batch
    )


def _load(sampler, steps, skip_corrupt, parallel_calls):
    """The single images of some steps, in order."""
    per_step = sampler.shard.loaded_per_step
    total = len(steps) * per_step

    def replace(number, nothing):
        samples = sampler.choose(steps.start + number // per_step)
        sample = [values[number % per_step] for values in samples]
        if skip_corrupt:
            return sampler.replace(*sample)
        with tf.control_dependencies([stop_at(sampler.source, sample[0])]):
            return tuple(tf.identity(tensor) for tensor in nothing)  # not reached

    chosen = tf.data.Dataset.range(steps.start, steps.stop).map(sampler.choose)
    return map_with_fallback(
        chosen.unbatch(), sampler.load, replace, total, parallel_calls
    )


def _finish(sampler, label_smoothing):
    """Return a function that encodes labels, mixes images and erases."""
    classes = len(sampler.source.class_names)

    def finish(step, first, indices, images, labels, *weights):
        if sampler.source.several_labels:
            labels = tf.cast(labels, tf.float32)
        else:
            labels = _one_hot(sampler.source, indices, labels)
        labels = labels * (1 - label_smoothing) + label_smoothing / classes
        return sampler.finish(step, first, images, labels, *weights)

    return finish


def _one_hot(source, indices, labels):
    """The labels as one-hot vectors, or an error that names an image."""
    classes = len(source.class_names)
    wrong = (labels < 0) | (labels >= classes)
    first = tf.argmax(wrong)
    index = indices[first] % len(source)  # there is none after the last one
    message = f"has a label outside 0 to {classes - 1}, the labels of its classes:"
    tf.debugging.Assert(
        ~tf.reduce_any(wrong), [source.describe(index), message, labels[first]]
    )
    return tf.one_hot(labels, classes)


def image_shape(
    image_size: int | tuple[int, int], channels: int
) -> tuple[int, int, int]:
    """Return height, width and channels of images, or raise a `ValueError`."""
    size = check_size("image_size", image_size)
    if as_whole_number(channels) not in (1, 3):
        raise ValueError(f"channels must be 1 (gray) or 3 (color), got {channels!r}.")
    return (*size, int(channels))


def _tuned(name, value, lowest):
    """A number for `tf.data`, which tunes it where there is none."""
    if value is None or value == AUTOTUNE:
        return AUTOTUNE
    number = as_whole_number(value)
    if number is None or number < lowest:
        raise ValueError(
            f"{name} must be at least {lowest}, or None to have TensorFlow tune it; "
            f"got {value!r}."
        )
    return number


def _check(source, batch_size, augmentation, classes):
    if classes is not None and classes != len(source.class_names):
        raise ValueError(
            f"{source.name!r} has {len(source.class_names)} classes, but {classes} "
            "were expected. Build the model with as many, or use its own data set."
        )
    if augmentation is not None:
        check_batch_size(batch_size, source)


def check_batch_size(batch_size: int, source: Any) -> None:
    """Raise a `ValueError` if a training batch is larger than a source of images."""
    if batch_size > len(source):
        raise ValueError(
            f"batch_size={batch_size} is more than the {len(source)} images of "
            f"{source.name!r}. Use a smaller batch or more images."
        )
