"""Which picture comes when: a function of the seed, the epoch and the position."""

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
        epoch: int64 tensor, from 0.
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
                f"worker must be from 0 to {self.workers - 1}, as there are "
                f"{self.workers} workers; got {self.worker}."
            )
        parts = self.workers * self.replicas
        if self.batch_size < 1 or self.batch_size % parts:
            raise ValueError(
                f"A batch_size of {self.batch_size} cannot be divided among "
                f"{self.workers} workers with {self.replicas} replicas each. Take a "
                f"multiple of {parts}."
            )

    @property
    def batch_of_replica(self):
        """Pictures of a step on one replica."""
        return self.batch_size // (self.workers * self.replicas)

    def samples(self, first_step, epochs):
        """Numbers this worker's samples, from a step on to the end of training."""
        samples = self.batch_size // self.workers
        return tf.data.Dataset.range(
            first_step * samples, epochs * self.steps_per_epoch * samples
        )

    def locate(self, sample):
        """Returns the step, the epoch, and the position in it of a worker's sample."""
        samples = self.batch_size // self.workers
        step, place = sample // samples, sample % samples
        position = step % self.steps_per_epoch * self.batch_size
        position += self.worker * samples + place
        return step, step // self.steps_per_epoch, position
