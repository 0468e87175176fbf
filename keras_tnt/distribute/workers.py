"""What the processes of one training have to tell each other."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf


def worker_count(strategy: tf.distribute.Strategy) -> int:
    """Returns the number of processes that train together.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.distribute import workers
        >>> workers.worker_count(tf.distribute.get_strategy())
        1
    """
    return sum(len(addresses) for addresses in _jobs(strategy).values()) or 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process is the one that writes files and reports.

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
    """Returns whether the flag of any worker is set; the same answer on all of them.

    All workers must ask at the same step. A process alone answers at once; several take
    milliseconds, so ask every few steps.

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
    """Returns the sum of the whole numbers of all workers, who must all ask for it.

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
    """Waits until all workers have come here.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.distribute import workers
        >>> workers.barrier(tf.distribute.get_strategy())
    """
    any_worker(strategy, False)


def check_agreement(
    strategy: tf.distribute.Strategy, number: int, what: str, hint: str = ""
) -> None:
    """Checks that all workers have the same number.

    Args:
        strategy: a `tf.distribute.Strategy`.
        number: this worker's whole number.
        what: what it is.
        hint: what to do if they differ.

    Raises:
        RuntimeError: on all workers, if one of them has another number.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.distribute import workers
        >>> workers.check_agreement(tf.distribute.get_strategy(), 3, "step")
    """
    differs = total(strategy, number) != worker_count(strategy) * number
    if any_worker(strategy, differs):
        raise RuntimeError(
            f"The workers do not agree: {what} is {number} here and something else on "
            f"another worker. {hint}"
        )


@contextlib.contextmanager
def worker_errors(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns the errors of a lost worker into one that says what to do.

    A worker that was killed is noticed within 10 seconds, one that hangs or whose
    network is cut within 30 (TensorFlow's heartbeats): all others end with this error.

    Args:
        strategy: a `tf.distribute.Strategy`.

    Raises:
        RuntimeError: if another worker is gone.

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
            "network between the workers is down; its own output may say why. Start "
            "all workers again with the same command: the training goes on after its "
            "newest checkpoint."
        ) from error


def _from_another_worker(error):
    return (
        isinstance(error, (tf.errors.UnavailableError, tf.errors.DeadlineExceededError))
        or "Collective ops is aborted" in error.message
    )


def _named(error, strategy):
    """The workers that an error is about, as far as it says so."""
    found = re.findall(r"/job:(\w+)/(?:replica:0/)?task:(\d+)", error.message)
    tasks = {(job, int(index)) for job, index in found} - {_own_task(strategy)}
    names = [
        f"{job} {index} ({_jobs(strategy)[job][index]})" for job, index in sorted(tasks)
    ]
    return " or ".join(names) or "Another worker"


def _jobs(strategy):
    """Addresses by job; none unless there are several processes."""
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return strategy.cluster_resolver.cluster_spec().as_dict()
    return {}


def _own_task(strategy):
    resolver = strategy.cluster_resolver
    return resolver.task_type, resolver.task_id
