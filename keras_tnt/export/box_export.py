"""SavedModel of a detector, in the layout of TensorFlow Serving."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras

from keras_tnt.export.dense_export import write_dense
from keras_tnt.utils.backend import require_tensorflow_backend
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike


def export_detector(
    model: keras.Model,
    path: PathLike,
    class_names: Sequence[str] | None = None,
    version: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Export a detector as a SavedModel for TensorFlow Serving.

    The SavedModel needs neither Keras nor this package. It is written to a temporary
    name, loaded, compared with the model and then moved into place. Its signatures have
    a dynamic batch:

    - ``serving_default``: ``images``, pixels 0-255 at the model's size (float32,
      ``(batch, height, width, channels)``), to ``boxes`` (float32, ``(batch,
      detections, 4)``: left, top, right and bottom in pixels of the input), ``scores``
      (float32, ``(batch, detections)``), ``classes`` (int32, the same shape) and
      ``count`` (int32, ``(batch,)``), the number of detections before the values of -1.
      ``anchor_offsets`` and ``anchor_logits`` are the outputs of all anchors.
    - ``predict_images_uint8``: the same for uint8.

    The version's directory also has ``assets/labels.txt`` and ``metadata.json``.

    Args:
        model: a detector, such as `keras_tnt.tasks.detector` builds.
        path: the directory of the model; the version is a directory in it.
        class_names: names of the classes; their indices by default.
        version: a positive number; the next free one by default.
        overwrite: whether an existing version may be replaced.

    Returns:
        The `pathlib.Path` of the version's directory.

    Raises:
        ValueError: if the model is no detector, or names or version do not fit.
        FileExistsError: if the version exists, without ``overwrite``.
        RuntimeError: if the SavedModel predicts otherwise. Nothing is written.

    Example:
        ```python
        from keras_tnt.export import export_detector

        export_detector(model, "served/streets", ["car", "person"])
        ```
    """
    require_tensorflow_backend("An export")
    if not hasattr(model, "decode_predictions"):
        raise ValueError(
            "Expected a detector, such as keras_tnt.tasks.detector builds, got a "
            f"{type(model).__name__}."
        )

    def predict(images):
        outputs = model(images, training=False)
        found = model.decode_predictions(outputs, images)
        return {
            "boxes": found["boxes"],
            "scores": found["confidence"],
            "classes": tf.cast(found["labels"], tf.int32),
            "count": tf.cast(found["num_detections"], tf.int32),
            "anchor_offsets": tf.cast(outputs["bbox_regression"], tf.float32),
            "anchor_logits": tf.cast(outputs["cls_logits"], tf.float32),
        }

    # Detections of equal scores may change places; what they are made of is compared.
    compared = ("anchor_offsets", "anchor_logits")
    return write_dense(
        model,
        path,
        class_names,
        model.num_classes,
        version,
        overwrite,
        "detection",
        predict,
        compared,
    )
