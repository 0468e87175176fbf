"""What the SavedModels of segmenters and detectors have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from keras_tnt.utils.files import local_path
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike

TOLERANCE = 1e-3  # relative to the largest value; devices differ by less


def write_dense(
    model: keras.Model,
    path: PathLike,
    class_names: Sequence[str] | None,
    classes: int,
    version: int | None,
    overwrite: bool,
    task: str,
    predict: Callable,
    compared: Sequence[str],
) -> Path:
    """Write a SavedModel to a temporary name, check it and move it into place.

    Args:
        model: the model.
        path: the directory of the model; the version is a directory in it.
        class_names: names of the classes; their indices if ``None``.
        classes: number of classes.
        version: a positive number; the next free one if ``None``.
        overwrite: whether an existing version may be replaced.
        task: name of the task, for the metadata.
        predict: function from float32 images to a dictionary of tensors, the signature.
        compared: names of the outputs that are compared with the model's.

    Returns:
        The directory of the version.

    Raises:
        ValueError: if the version is invalid, or there are more or fewer names.
        FileExistsError: if it exists, without ``overwrite``.
        RuntimeError: if the SavedModel predicts otherwise. Nothing is written.
    """
    names = map(str, range(classes)) if class_names is None else class_names
    names = list(names)
    if len(names) != classes:
        raise ValueError(f"Expected names of {classes} classes, got {len(names)}.")
    path = local_path(path)
    target = choose_version_directory(path, version, overwrite)
    with directory_beside(target) as directory:
        written = directory / "saved_model"
        labels = directory / "labels.txt"
        labels.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        _write(model, written, labels, predict)
        record = {"name": path.name, "version": int(target.name)}
        record |= {"task": task, "labels": names}
        write_metadata(written, model, record)
        _compare(model, written, predict, compared)
        move_into_place(written, target, replaced=directory / "replaced")
    return target


def _write(model, path, labels, predict):
    shape = (None, *model.input_shape[1:])

    def run(images):
        with decomposed_layer_norm():  # for a server with other devices than this one
            return predict(tf.cast(images, tf.float32))

    def signature(dtype):
        specs = [tf.TensorSpec(shape, dtype, "images")]
        return tf.function(run, input_signature=specs, autograph=False)

    module = tf.Module()
    module.model_variables = [variable.value for variable in model.variables]
    module.labels = tf.saved_model.Asset(str(labels))
    module.functions = {
        "serving_default": signature(tf.float32),
        "predict_images_uint8": signature(tf.uint8),
    }
    tf.saved_model.save(module, str(path), signatures=module.functions)


def _compare(model, path, predict, names):
    """Raise an error if a SavedModel predicts otherwise than its model."""
    images = tf.constant(noise(image_shape(model), number=2))
    expected = predict(images)
    found = tf.saved_model.load(str(path)).signatures["serving_default"](images=images)
    half = model.dtype_policy.compute_dtype != "float32"
    for name in names:
        ours, theirs = expected[name].numpy(), found[name].numpy()
        difference = np.abs(theirs - ours).max() / max(np.abs(ours).max(), 1)
        if not difference <= TOLERANCE * (50 if half else 1):
            raise RuntimeError(
                f"The SavedModel does not predict what the model predicts: its {name} "
                f"differ by {difference:.2g} of the largest one."
            )
