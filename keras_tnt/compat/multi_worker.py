"""Keras training and evaluation on several workers."""

from typing import Any

from keras_tnt.utils.lazy import tensorflow as tf


class MultiWorkerStrategy(tf.distribute.MultiWorkerMirroredStrategy):
    """A `tf.distribute.MultiWorkerMirroredStrategy` that `fit` and `evaluate` can use.

    Fault: Keras calls the strategy's `reduce` with a batch of per-replica tensors, and
    with scalars on axis 0. Both calls raise an error under this strategy.
    Issue: https://github.com/keras-team/keras/issues/20585.
    Seen in: Keras 3.15.1 (first and last version checked).

    Only calls that otherwise raise an error behave differently. The class therefore
    does no harm under a Keras without the fault.
    """

    def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> Any:
        """Reduce over all replicas, as `tf.distribute.Strategy.reduce` does.

        Args:
            reduce_op: ``"SUM"`` or ``"MEAN"``, or a `tf.distribute.ReduceOp`.
            value: a value from each replica; or, from Keras, a batch.
            axis: an axis that is reduced too, or ``None``.

        Returns:
            A tensor, the same on all workers; or a batch of this worker.
        """
        if isinstance(value, (tuple, list, dict)):
            # Keras builds the model with a batch and needs only its shapes and dtypes.
            return tf.nest.map_structure(self._local, value)
        if axis == 0 and self._local(value).shape.rank == 0:
            # The metrics of a step are scalars: Keras wants their mean over replicas.
            axis = None
        return super().reduce(reduce_op, value, axis)

    def _local(self, value):
        return self.experimental_local_results(value)[0]
