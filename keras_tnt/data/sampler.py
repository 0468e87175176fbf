"""Which picture comes when: a function of the seed and the step."""

import dataclasses

import tensorflow as tf

# Four pictures, shown three times in twelve positions, in pairs (that is how MixUp and
# CutMix mix). No pair comes twice: these are the three rounds of a tournament of four.
ROUNDS = (0, 1, 2, 3, 1, 2, 3, 0, 0, 2, 1, 3)
GROUP = 4


def picture_at(position, epoch, size, seed, repeats=1):
    """Which picture is shown at a position of an epoch.

    Every epoch is an order of its own. With `repeats` an epoch shows a `repeats`-th of
    the pictures, chosen anew each time, so many times; the times are close together.

    Args:
        position: int64 tensor, from 0.
        epoch: int64 scalar tensor, from 0.
        size: number of pictures.
        seed: of the order, an integer.
        repeats: how often a picture is shown, 1 to 3.

    Returns:
        The index of the picture, an int64 tensor.
    """
    if repeats > 1:
        length = GROUP * repeats
        place = tf.gather(tf.constant(ROUNDS, tf.int64), position % length)
        position = position // length * GROUP + place
    return tf.random.experimental.index_shuffle(
        position,
        seed=tf.stack([tf.constant(seed, tf.int64), epoch]),
        max_index=tf.constant(size - 1, tf.int64),
    )


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of every step that a worker has.

    Attributes:
        batch_size: pictures of a step, on all workers and replicas together.
        steps_per_epoch: number of steps.
        worker: the worker, from 0.
        workers: number of workers.
        replicas: number of replicas of a worker.

    Raises:
        ValueError: if the step cannot be divided.
    """

    batch_size: int
    steps_per_epoch: int
    worker: int = 0
    workers: int = 1
    replicas: int = 1

    def __post_init__(self):
        if not 0 <= self.worker < self.workers:
            raise ValueError(
                f"Workers count from 0 and there are {self.workers}; got "
                f"worker={self.worker}."
            )
        parts = self.workers * self.replicas
        if self.batch_size < 1 or self.batch_size % parts:
            raise ValueError(
                f"batch_size={self.batch_size} cannot be divided among workers="
                f"{self.workers} with replicas={self.replicas} each. Take a multiple "
                f"of {parts}."
            )

    @property
    def of_worker(self):
        """Pictures of a step on this worker."""
        return self.batch_size // self.workers

    @property
    def of_replica(self):
        """Pictures of a step on one replica."""
        return self.of_worker // self.replicas

    def of(self, values):
        """Returns this worker's part of what there is one of for each picture."""
        start = self.worker * self.of_worker
        return values[start : start + self.of_worker]

    def positions(self, step):
        """Returns the epoch of a step, and where in it this worker's pictures are."""
        first = step % self.steps_per_epoch * self.batch_size
        positions = first + tf.range(self.batch_size, dtype=tf.int64)
        return step // self.steps_per_epoch, self.of(positions)
