"""Quantization of Keras models."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def freeze_garbage_collector() -> Iterator[None]:
    """Leave the objects that exist already out of garbage collections.

    Fault: Keras collects garbage whenever a layer deletes a variable, so `quantize`
    does it for every Dense. Each collection visits all objects of the process, about
    400,000 after TensorFlow's import: TNT-S took 30 times as long.
    Nothing is frozen if the process has frozen objects itself, because they could not
    be told apart afterwards.
    Issue: no issue known; the collections are intended.
    Seen in: Keras 3.15.1 (first version checked) to 3.16.0.dev2026102704.

    Example:
        >>> import keras
        >>> from keras_tnt.compat.quantization import freeze_garbage_collector
        >>> layer = keras.layers.Dense(2)
        >>> layer.build((None, 4))
        >>> with freeze_garbage_collector():
        ...     layer.quantize("int8")
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
