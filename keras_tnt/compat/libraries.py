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


def reset_retinanet_biases(detector: keras.Model) -> None:
    """Set the initial biases of a KerasHub RetinaNet as the paper of RetinaNet does.

    Fault: KerasHub gives the bias of rare classes, ``-log(99)``, to the box head
    instead of the classification head.
    Issue: no issue known.
    Seen in: KerasHub 0.32.0 (first and last version checked).

    Args:
        detector: a new `keras_hub.models.RetinaNetObjectDetector`.
    """
    boxes, classes = (
        head.weights[-1] for head in (detector.box_head, detector.classification_head)
    )
    boxes.assign(np.zeros(boxes.shape))
    classes.assign(np.full(classes.shape, -math.log(99)))
