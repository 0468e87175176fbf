"""Strategies: one device, all devices of a machine, several machines, or a TPU."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import keras

from keras_tnt.distribute.cluster import EXAMPLE, find_cluster
from keras_tnt.distribute.keras_distribution import create_distribution
from keras_tnt.utils.backend import uses_jax
from keras_tnt.utils.lazy import tensorflow as tf

STRATEGIES = (
    "auto",
    "one_device",
    "mirrored",
    "model_parallel",
    "multi_worker",
    "tpu",
)
Strategy: TypeAlias = (
    "tf.distribute.Strategy | keras.distribution.DataParallel "
    "| keras.distribution.ModelParallel"
)

logger = logging.getLogger("keras_tnt")


def create_strategy(name: str = "auto") -> Strategy:
    """Create the strategy of a training, by name or from the environment.

    - ``"one_device"``: the first GPU, or the CPU.
    - ``"mirrored"``: all GPUs of this machine; without any, its logical CPU devices.
    - ``"multi_worker"``: all GPUs, or the CPU, of every worker in ``TF_CONFIG`` or the
      Slurm step. It waits for all of them.
    - ``"tpu"``: the TPU named by ``TPU_NAME``; by default that of this TPU VM.
    - ``"auto"``: the first of these that the environment has: several workers, a
      ``TPU_NAME``, several GPUs, one device.

    On JAX, ``"auto"`` is the current `keras.distribution.distribution()`, if there is
    one. Otherwise it is all devices, as ``"mirrored"`` and ``"tpu"``, with
    `keras.distribution.DataParallel`. ``"model_parallel"``, on JAX only, divides the
    weights among all devices, see `keras_tnt.training.layout_map`.

    Call it once, before TensorFlow computes anything: several workers and TPUs cannot
    be set up later.

    Args:
        name: one of the names above.

    Returns:
        A `tf.distribute.Strategy`; on JAX a `keras.distribution.DataParallel` or
        `keras.distribution.ModelParallel`.

    Raises:
        ValueError: if the name is unknown or needs another backend, or ``TF_CONFIG`` is
            invalid or missing.
        RuntimeError: if there is no TPU, TensorFlow has already computed something, or
            this worker's port is in use.

    Example:
        >>> from keras_tnt import distribute
        >>> distribute.create_strategy("one_device").num_replicas_in_sync
        1
    """
    if name not in STRATEGIES:
        raise ValueError(
            f"Unknown strategy {name!r}. Expected one of {', '.join(STRATEGIES)}."
        )
    if uses_jax():
        return create_distribution(name)
    if name == "model_parallel":
        raise ValueError(
            "model_parallel needs Keras's JAX backend: set KERAS_BACKEND=jax, or use "
            "another strategy."
        )
    cluster = find_cluster() if name in ("auto", "multi_worker") else None
    if name == "multi_worker" and cluster is None:
        raise ValueError(
            "multi_worker needs a cluster. Start the workers with Slurm's srun, or set "
            f"TF_CONFIG for each worker, like {EXAMPLE}, with its own index."
        )
    if name == "multi_worker" or (cluster and len(cluster.addresses) > 1):
        return _multi_worker(cluster)
    if name == "tpu" or (name == "auto" and os.environ.get("TPU_NAME")):
        return _tpu(os.environ.get("TPU_NAME") or "local")
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        cpus = [device.name for device in tf.config.list_logical_devices("CPU")]
        return tf.distribute.MirroredStrategy(gpus or cpus)
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")


def _multi_worker(cluster):
    from keras_tnt.compat.multi_worker import MultiWorkerStrategy  # needs TensorFlow

    waiting = threading.Timer(
        20,
        logger.warning,
        ["Worker %s is waiting for all of %s.", cluster.address, cluster.addresses],
    )
    waiting.daemon = True
    waiting.start()
    try:
        return MultiWorkerStrategy(cluster.resolver())
    except RuntimeError as error:
        if "program startup" not in str(error):
            raise
        raise RuntimeError(
            "A strategy for several workers must be created once, before TensorFlow "
            "computes anything. Call keras_tnt.distribute.create_strategy() first in "
            "the program, and pass the strategy on."
        ) from error
    except tf.errors.UnknownError as error:
        raise RuntimeError(
            f"This worker cannot listen at {cluster.address} ({error.message}). If "
            "another process uses the port, choose another one for all workers."
        ) from error
    finally:
        waiting.cancel()


def _tpu(name):
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (tf.errors.OpError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise RuntimeError(
            f"There is no TPU {name!r}: {reason}\nOn a TPU VM, install the package "
            "tensorflow-tpu in place of tensorflow, and set TPU_NAME to 'local'."
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def replica_count(strategy: Strategy) -> int:
    """Return the number of parts into which a batch is divided.

    Example:
        >>> from keras_tnt import distribute
        >>> distribute.replica_count(distribute.create_strategy("one_device"))
        1
    """
    if not uses_jax():
        return strategy.num_replicas_in_sync
    mesh = strategy.device_mesh
    return mesh.shape[list(mesh.axis_names).index(strategy.batch_dim_name)]


def current_strategy() -> Strategy | None:
    """Return the strategy in whose scope this is, on JAX perhaps ``None``.

    Example:
        >>> from keras_tnt import distribute
        >>> distribute.current_strategy().num_replicas_in_sync
        1
    """
    if uses_jax():
        return keras.distribution.distribution()
    return tf.distribute.get_strategy()


def distribute_dataset(
    strategy: Any,
    dataset_function: Callable[[int, int, int], tf.data.Dataset],
) -> tf.distribute.DistributedDataset | tf.data.Dataset:
    """Give each replica its own batches, for `fit`, `evaluate` and `predict`.

    The result is infinite: pass ``steps_per_epoch`` and ``validation_steps`` to `fit`,
    ``steps`` to `evaluate` and `predict`. So shapes stay static, and the workers do
    not ask each other at every step whether a batch is left. On JAX the dataset has the
    whole batches, and Keras divides them among the devices.

    Args:
        strategy: a strategy, see `create_strategy`; on JAX it may be ``None``.
        dataset_function: ``dataset_function(worker, workers, replicas)`` returns the
            `tf.data.Dataset` of one worker, counted from 0, with a batch for each of
            its ``replicas`` at each step.

    Returns:
        A `tf.distribute.DistributedDataset`, or on JAX a `tf.data.Dataset`.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt import distribute
        >>> dataset = distribute.distribute_dataset(
        ...     tf.distribute.OneDeviceStrategy("/cpu:0"),
        ...     lambda worker, workers, replicas: tf.data.Dataset.range(6).batch(2),
        ... )
        >>> next(iter(dataset)).numpy()
        array([0, 1])
    """
    if uses_jax():
        return dataset_function(0, 1, 1).repeat()
    return strategy.distribute_datasets_from_function(
        lambda context: dataset_function(
            context.input_pipeline_id,
            context.num_input_pipelines,
            context.num_replicas_in_sync // context.num_input_pipelines,
        ).repeat()
    )
