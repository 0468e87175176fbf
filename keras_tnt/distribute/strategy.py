"""Where to train: one device, all of a machine, several machines, or a TPU."""

import logging
import os
import threading
from collections.abc import Callable

import tensorflow as tf

from keras_tnt.compat.multi_worker import MultiWorkerStrategy
from keras_tnt.distribute.cluster import EXAMPLE, find_cluster

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")

logger = logging.getLogger("keras_tnt")


def create_strategy(name: str = "auto") -> tf.distribute.Strategy:
    """Makes the strategy of a training, by name or for the surroundings.

    - ``"one_device"``: the first GPU, or else the CPU.
    - ``"mirrored"``: all GPUs of this machine; without any, its logical CPU devices.
    - ``"multi_worker"``: all GPUs, or else the CPU, of every worker that ``TF_CONFIG``
      or Slurm names. It waits for all of them.
    - ``"tpu"``: the TPU named by ``TPU_NAME``, by default this TPU VM's own.
    - ``"auto"``: what the surroundings ask for: several workers, a ``TPU_NAME``,
      several GPUs, or else one device.

    Make it once and first of all: several workers and TPUs are found only before
    TensorFlow has computed anything.

    Args:
        name: one of the names above.

    Returns:
        A `tf.distribute.Strategy`.

    Raises:
        ValueError: for another name, or if ``TF_CONFIG`` is wrong or missing.
        RuntimeError: if there is no TPU, if TensorFlow has begun to compute, or if this
            worker's port is taken.

    Example:
        >>> from keras_tnt import distribute
        >>> distribute.create_strategy("one_device").num_replicas_in_sync
        1
    """
    if name not in STRATEGIES:
        raise ValueError(
            f"There is no strategy {name!r}: expected one of {', '.join(STRATEGIES)}."
        )
    cluster = find_cluster() if name in ("auto", "multi_worker") else None
    if name == "multi_worker" and cluster is None:
        raise ValueError(
            "multi_worker needs to know the workers: start them with Slurm's srun, or "
            f"give each an environment variable TF_CONFIG like {EXAMPLE}, each with an "
            "index of its own."
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
            "A strategy for several workers must be made once, before TensorFlow has "
            "computed anything. Call keras_tnt.distribute.strategy.strategy() first "
            "of all in the program, and pass it on."
        ) from error
    except tf.errors.UnknownError as error:
        raise RuntimeError(
            f"This worker cannot listen at {cluster.address} ({error.message}). Is "
            "another process using the port? Then choose another one for all workers."
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


def distribute_dataset(
    strategy: tf.distribute.Strategy,
    dataset_function: Callable[[int, int, int], tf.data.Dataset],
) -> tf.distribute.DistributedDataset:
    """Gives each replica its own batches, for `fit`, `evaluate` and `predict`.

    The result is endless: tell `fit` its ``steps_per_epoch`` and ``validation_steps``,
    `evaluate` and `predict` their ``steps``. So the shapes stay static and no worker
    has to ask the others at every step whether there is a batch left.

    Args:
        strategy: a `tf.distribute.Strategy`.
        dataset_function: ``dataset_function(worker, workers, replicas)`` returns the
            `tf.data.Dataset` of batches for that worker, counted from 0: at each step
            one batch for each of its ``replicas``.

    Returns:
        A `tf.distribute.DistributedDataset`.

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
    return strategy.distribute_datasets_from_function(
        lambda context: dataset_function(
            context.input_pipeline_id,
            context.num_input_pipelines,
            context.num_replicas_in_sync // context.num_input_pipelines,
        ).repeat()
    )
