"""Other libraries: TensorFlow Datasets, threads of OpenMP, KerasHub."""

import contextlib
import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import keras
import numpy as np


def read_config_without_cache(tfds: ModuleType) -> Any:
    """Return the settings to read a small data set without caching it in memory.

    Fault: by default TensorFlow Datasets caches the records of a small data set. Every
    reader that stops early then logs a warning.
    Issue: no issue known.
    Seen in: TensorFlow Datasets 4.9.10 (first and last version checked).

    Args:
        tfds: the module `tensorflow_datasets`.

    Returns:
        A `tfds.ReadConfig`.
    """
    return tfds.ReadConfig(try_autocache=False)


@contextlib.contextmanager
def one_openmp_thread() -> Iterator[None]:
    """Run scikit-learn on one thread.

    Fault: scikit-learn's OpenMP threads and TensorFlow's threads wait for each other.
    t-SNE takes several times as long on all threads as on one. No test: only the time
    differs.
    Issue: no issue known.
    Seen in: scikit-learn 1.9.1 with TensorFlow 2.21.0 (first and last versions
    checked).

    Raises:
        ImportError: if threadpoolctl, a dependency of scikit-learn, is not installed.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def reset_retinanet_heads(detector: keras.Model) -> None:
    """Set the initial weights of a KerasHub RetinaNet as the paper of RetinaNet does.

    The paper (arXiv 1708.02002, section 4.1) has kernels with a standard deviation of
    0.01, the bias ``-log(99)`` of rare classes in the head of classes, and 0 in others.

    Fault: KerasHub gives that bias to the box head. Its kernels are so large that a new
    detector is sure of many objects, and its boxes are far from their anchors.
    Issue: no issue known.
    Seen in: KerasHub 0.32.0 (first and last version checked).

    Args:
        detector: a new `keras_hub.models.RetinaNetObjectDetector`.
    """
    draw = keras.initializers.RandomNormal(stddev=0.01, seed=None)
    for head, bias in (
        (detector.box_head, 0.0),
        (detector.classification_head, -math.log(99)),
    ):
        for weight in head.weights:
            is_kernel = len(weight.shape) > 1
            weight.assign(draw(weight.shape) if is_kernel else np.zeros(weight.shape))
        head.weights[-1].assign(np.full(head.weights[-1].shape, bias))
