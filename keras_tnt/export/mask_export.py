"""SavedModel of a segmenter, in the layout of TensorFlow Serving."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_tnt.export.comparison import noise
from keras_tnt.export.publish import (
    choose_version_directory,
    directory_beside,
    move_into_place,
)
from keras_tnt.export.serving import write_metadata
from keras_tnt.layers.layer_norm import decomposed_layer_norm
from keras_tnt.structure.architecture import image_shape
from keras_tnt.utils.backend import require_tensorflow_backend
from keras_tnt.utils.files import local_path
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike

TOLERANCE = 1e-3  # of the logits, relative to the largest one; devices differ by less


def export_segmenter(
    model: keras.Model,
    path: PathLike,
    class_names: Sequence[str] | None = None,
    version: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Export a segmenter as a SavedModel for TensorFlow Serving.

    The SavedModel needs neither Keras nor this package. It is written to a temporary
    name, loaded, compared with the model and then moved into place. Its signatures have
    a dynamic batch, and dynamic sizes if the model takes images of any size:

    - ``serving_default``: ``images``, pixels 0-255 at the model's size (float32,
      ``(batch, height, width, channels)``), to ``classes``, the class of each pixel
      (int32, ``(batch, height, width)``), and ``logits`` (float32, ``(batch, height,
      width, classes)``).
    - ``predict_images_uint8``: the same for uint8.

    The version's directory also has ``assets/labels.txt`` and ``metadata.json``.

    Args:
        model: a functional model from images to logits, such as
            `keras_tnt.tasks.segmenter` builds.
        path: the directory of the model; the version is a directory in it.
        class_names: names of the classes; their indices by default.
        version: a positive number; the next free one by default.
        overwrite: whether an existing version may be replaced.

    Returns:
        The `pathlib.Path` of the version's directory.

    Raises:
        ValueError: if the model is no segmenter, or names or version do not fit.
        FileExistsError: if the version exists, without ``overwrite``.
        RuntimeError: if the SavedModel predicts otherwise. Nothing is written.

    Example:
        ```python
        from keras_tnt.export import export_segmenter

        export_segmenter(model, "served/streets", ["road", "car", "sky"])
        ```
    """
    require_tensorflow_backend("An export")
    shapes = model.input_shape, model.output_shape
    if [len(shape) for shape in shapes] != [4, 4]:
        raise ValueError(
            "Expected a segmenter, a model from images to logits (batch, height, "
            f"width, classes), got a model from shape {shapes[0]} to {shapes[1]}."
        )
    classes = model.output_shape[-1]
    names = list(map(str, range(classes))) if class_names is None else class_names
    if len(names) != classes:
        raise ValueError(f"Expected names of {classes} classes, got {len(names)}.")
    path = local_path(path)
    target = choose_version_directory(path, version, overwrite)
    with directory_beside(target) as directory:
        written = directory / "saved_model"
        labels = directory / "labels.txt"
        labels.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        _write(model, written, labels)
        record = {"name": path.name, "version": int(target.name)}
        record |= {"task": "segmentation", "labels": list(names)}
        write_metadata(written, model, record)
        _compare(model, written)
        move_into_place(written, target, replaced=directory / "replaced")
    return target


def _write(model, path, labels):
    shape = (None, *model.input_shape[1:])

    def predict(images):
        with decomposed_layer_norm():  # for a server with other devices than this one
            logits = model(tf.cast(images, tf.float32), training=False)
        logits = tf.cast(logits, tf.float32)
        return {"classes": tf.argmax(logits, -1, tf.int32), "logits": logits}

    def signature(dtype):
        specs = [tf.TensorSpec(shape, dtype, "images")]
        return tf.function(predict, input_signature=specs, autograph=False)

    module = tf.Module()
    module.model_variables = [variable.value for variable in model.variables]
    module.labels = tf.saved_model.Asset(str(labels))
    module.functions = {
        "serving_default": signature(tf.float32),
        "predict_images_uint8": signature(tf.uint8),
    }
    tf.saved_model.save(module, str(path), signatures=module.functions)


def _compare(model, path):
    """Raise an error if a SavedModel predicts otherwise than its model."""
    images = noise(image_shape(model), number=2)
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    found = signature(images=tf.constant(images))["logits"].numpy()
    difference = np.abs(found - expected).max() / max(np.abs(expected).max(), 1)
    half = model.dtype_policy.compute_dtype != "float32"
    if not difference <= TOLERANCE * (50 if half else 1):
        raise RuntimeError(
            f"The SavedModel does not predict what the model predicts: its logits "
            f"differ by {difference:.2g} of the largest one."
        )
