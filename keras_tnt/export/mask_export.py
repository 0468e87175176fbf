"""SavedModel of a segmenter, in the layout of TensorFlow Serving."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras

from keras_tnt.export.dense_export import write_dense
from keras_tnt.utils.backend import require_tensorflow_backend
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike


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

    def predict(images):
        logits = tf.cast(model(images, training=False), tf.float32)
        return {"classes": tf.argmax(logits, -1, tf.int32), "logits": logits}

    return write_dense(
        model,
        path,
        class_names,
        model.output_shape[-1],
        version,
        overwrite,
        "segmentation",
        predict,
        ("logits",),
    )
