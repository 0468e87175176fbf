"""Dropout whose masks belong to the images of the global batch."""

from __future__ import annotations

import keras

from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Tensor

VALUES_PER_COUNT = 4  # that the generator Philox draws for one value of its counter
PHILOX = 1
BITS = 23  # of a random number


@keras.saving.register_keras_serializable(package="keras_tnt")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` with other masks on each replica.

    Keras draws the same masks on every replica of a `tf.distribute.Strategy`. This
    layer continues on a replica where the previous one ends. If all replicas have as
    many images, and the mask has an axis of images, then the masks of a global batch
    are the same on any number of replicas. They are also the same in a function that
    XLA compiles. With another backend than TensorFlow, the layer is Keras's.

    Args:
        rate: probability that a value is set to 0; the others are divided by
            ``1 - rate``.
        noise_shape: shape of the mask, 1 where it is broadcast and ``None`` where it
            is that of the inputs; the shape of the inputs by default.
        seed: seed of the masks.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: floating-point tensor.
        training: whether to drop values.

    Example:
        >>> import keras
        >>> from keras_tnt.layers.dropout import Dropout
        >>> Dropout(0.5)(keras.ops.ones((2, 17, 48)), training=True).shape
        TensorShape([2, 17, 48])
    """

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        draws = training and 0 < self.rate < 1
        if not draws or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training)
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(
            seed=tf.cast(self.seed_generator.next(), tf.int64)
        )
        replica = _replica()

        def uniform(shape, dtype):
            shape = tf.convert_to_tensor(shape)
            if replica is None:
                return _uniform(shape, key, counter)
            size = tf.cast(tf.reduce_prod(shape), tf.int64)
            start = tf.cast(replica, tf.int64) * size
            count = tf.stack([start // VALUES_PER_COUNT, 0])
            advanced = tf.bitcast(tf.bitcast(counter, tf.int64) + count, tf.uint64)
            before = start % VALUES_PER_COUNT
            draws = _uniform(size[tf.newaxis] + before, key, advanced)
            return tf.reshape(draws[before:], shape)

        return tf.nn.experimental.general_dropout(
            inputs, self.rate, uniform, self._concrete_noise_shape(inputs)
        )

    def _concrete_noise_shape(self, inputs):
        if self.noise_shape is None:
            return None
        shape = tf.shape(inputs)
        return [shape[i] if n is None else n for i, n in enumerate(self.noise_shape)]


def _uniform(shape, key, counter):
    """Random numbers of at least 0 and less than 1, in float32 for every policy.

    XLA draws the same bits as TensorFlow, but makes other numbers of them.
    """
    bits = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=shape, key=key, counter=counter, alg=PHILOX, dtype=tf.uint32
    )
    bits = tf.bitwise.bitwise_and(bits, tf.constant(2**BITS - 1, tf.uint32))
    return tf.cast(bits, tf.float32) * 2.0**-BITS


def _replica():
    """The number of the calling replica among all workers'; ``None`` if it is alone."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return context.replica_id_in_sync_group
