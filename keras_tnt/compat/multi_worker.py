"""What Keras gets wrong under several workers, put right from outside.

Keras issue 20585, seen in 3.15.1: `fit` and `evaluate` do not work under
`tf.distribute.MultiWorkerMirroredStrategy`, because Keras calls its `reduce` with what
it does not take. `tests/training/test_distribution_workers.py` says when this can go.
"""

from typing import Any

import tensorflow as tf


class MultiWorkerStrategy(tf.distribute.MultiWorkerMirroredStrategy):
    """A strategy for several workers that takes what Keras gives it.

    Only calls that otherwise raise an error are answered in another way, so that this
    does no harm under a Keras that has been repaired.
    """

    def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> Any:
        """Reduces over all replicas, as `tf.distribute.Strategy.reduce` does.

        Args:
            reduce_op: ``"SUM"`` or ``"MEAN"``, or a `tf.distribute.ReduceOp`.
            value: a value from each replica; or, from Keras, a batch.
            axis: an axis that is reduced too, or ``None``.

        Returns:
            A tensor, the same on all workers; or a batch of this worker's.
        """
        if isinstance(value, (tuple, list, dict)):
            # Keras builds the model with a batch, of which it needs shapes and types.
            return tf.nest.map_structure(self._local, value)
        if axis == 0 and self._local(value).shape.rank == 0:
            # The figures of a step have no axis: Keras means their mean over replicas.
            axis = None
        return super().reduce(reduce_op, value, axis)

    def _local(self, value):
        return self.experimental_local_results(value)[0]
