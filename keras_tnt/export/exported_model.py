"""What the formats have in common: optional packages, the graph, a loaded model."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import keras

from keras_tnt.export.metadata import ExportMetadata
from keras_tnt.layers.layer_norm import decomposed_layer_norm
from keras_tnt.utils.lazy import tensorflow as tf

INPUT, OUTPUT = "images", "probabilities"


class ExportedModel(NamedTuple):
    """A model in its own runtime, with what predictions need of a Keras model.

    Attributes:
        input_shape: ``(None, height, width, channels)``; ``None`` for whatever is not
            fixed in the file.
        output_shape: ``(None, classes)``.
        predict_on_batch: float32 images, as an array of that shape, to an array
            ``(batch, classes)``.
        metadata: `ExportMetadata`, or ``None`` if the file has none.
    """

    input_shape: tuple
    output_shape: tuple
    predict_on_batch: Callable
    metadata: ExportMetadata | None


def require(module: str) -> ModuleType:
    """Import a module that only the extra ``export`` installs."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"This format needs {module.partition('.')[0]}, which could not be "
            f'imported ({error}). Install it: pip install "keras-tnt[export]"'
        ) from error


def prediction_function(model: keras.Model) -> Any:
    """Return a `tf.function` from ``images`` to a dict with ``probabilities``."""

    def predict(images):
        with decomposed_layer_norm():
            probabilities = model(images, training=False)
        return {OUTPUT: tf.cast(probabilities, tf.float32)}

    spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)
    return tf.function(predict, input_signature=[spec], autograph=False)
