"""Where to train."""

import tensorflow as tf


def default_strategy():
    """Returns the strategy for this machine: all its GPUs, or else its CPU.

    Returns:
        A `tf.distribute.MirroredStrategy` over the GPUs if there are several, else a
        `tf.distribute.OneDeviceStrategy`.

    Example:
        >>> from keras_tnt.training.distribution import default_strategy
        >>> default_strategy().num_replicas_in_sync
        1
    """
    gpus = tf.config.list_logical_devices("GPU")
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
