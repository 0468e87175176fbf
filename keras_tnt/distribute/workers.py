"""Communication between the workers of one training."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from keras_tnt.utils.lazy import tensorflow as tf


def worker_count(strategy: tf.distribute.Strategy) -> int:
    """Return the number of workers.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.distribute import workers
        >>> workers.worker_count(tf.distribute.get_strategy())
        1
    """
    return sum(len(addresses) for addresses in _jobs(strategy).values()) or 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process is the chief, which writes files and prints.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.distribute import workers
        >>> workers.is_chief(tf.distribute.get_strategy())
        True
    """
    jobs = _jobs(strategy)
    first = "chief" if "chief" in jobs else "worker"
    return not jobs or _own_task(strategy) == (first, 0)


def any_worker(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Return whether the flag of any worker is set, the same value on all workers.

    All workers must call it at the same step. With several workers a call takes
    milliseconds, so call it every few steps.

    Args:
        strategy: a `tf.distribute.Strategy`.
        flag: this worker's flag.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.distribute import workers
        >>> workers.any_worker(tf.distribute.get_strategy(), False)
        False
    """
    return total(strategy, int(bool(flag))) > 0


def total(strategy: tf.distribute.Strategy, number: int) -> int:
    """Return the sum of the whole numbers of all workers; all of them must call it.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.distribute import workers
        >>> workers.total(tf.distribute.get_strategy(), 3)
        3
    """
    if worker_count(strategy) == 1:
        return number
    return int(strategy.reduce("SUM", tf.constant(number, "int64"), axis=None))


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Wait until all workers have called it.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.distribute import workers
        >>> workers.barrier(tf.distribute.get_strategy())
    """
    any_worker(strategy, False)


def check_agreement(
    strategy: tf.distribute.Strategy, number: int, what: str, hint: str = ""
) -> None:
    """Check that all workers have the same number.

    Args:
        strategy: a `tf.distribute.Strategy`.
        number: this worker's whole number.
        what: meaning of the number.
        hint: what to do if the numbers differ.

    Raises:
        RuntimeError: on all workers, if the numbers differ.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.distribute import workers
        >>> workers.check_agreement(tf.distribute.get_strategy(), 3, "step")
    """
    differs = total(strategy, number) != worker_count(strategy) * number
    if any_worker(strategy, differs):
        raise RuntimeError(
            f"The workers disagree: {what} is {number} on this worker, and another "
            f"number on another. {hint}"
        )


@contextlib.contextmanager
def worker_errors(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turn the errors of a lost worker into one that says what to do.

    TensorFlow's heartbeats detect a killed worker within 10 seconds, a worker that
    hangs or has no network within 30. All others then end with this error.

    Args:
        strategy: a `tf.distribute.Strategy`.

    Raises:
        RuntimeError: if another worker is lost.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.distribute import workers
        >>> with workers.worker_errors(tf.distribute.get_strategy()):
        ...     pass  # model.fit(...)
    """
    try:
        yield
    except tf.errors.OpError as error:
        if worker_count(strategy) == 1 or not _from_another_worker(error):
            raise
        raise RuntimeError(
            f"{_named(error, strategy)} does not answer: it has ended or hangs, or the "
            "network between the workers is down. Check its output. Start all workers "
            "again with the same command to resume from the newest checkpoint."
        ) from error


def _from_another_worker(error):
    return (
        isinstance(error, (tf.errors.UnavailableError, tf.errors.DeadlineExceededError))
        or "Collective ops is aborted" in error.message
    )


def _named(error, strategy):
    """The workers that an error names."""
    found = re.findall(r"/job:(\w+)/(?:replica:0/)?task:(\d+)", error.message)
    tasks = {(job, int(index)) for job, index in found} - {_own_task(strategy)}
    names = [
        f"{job} {index} ({_jobs(strategy)[job][index]})" for job, index in sorted(tasks)
    ]
    return " or ".join(names) or "Another worker"


def _jobs(strategy):
    """Addresses by job; empty for a single process."""
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return strategy.cluster_resolver.cluster_spec().as_dict()
    return {}


def _own_task(strategy):
    resolver = strategy.cluster_resolver
    return resolver.task_type, resolver.task_id
