"""SavedModel in the layout of TensorFlow Serving."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_tnt.decoding import decode_image
from keras_tnt.images import CROP_FRACTION, preprocess_input

RELOAD = Path(__file__).with_name("reload_saved_model.py")


def export_saved_model(
    model,
    path,
    labels=None,
    version=None,
    top_k=5,
    crop_fraction=CROP_FRACTION,
    overwrite=False,
):
    """Exports a classifier as a SavedModel for TensorFlow Serving.

    The SavedModel needs neither Keras nor this package. It has two signatures, both
    of dynamic batch:

    - ``serving_default``: ``image_bytes``, encoded pictures (string, ``(batch,)``), to
      ``classes`` (string), ``class_ids`` (int64) and ``scores`` (float32), each
      ``(batch, top_k)``, best first. Decoding, resizing and center crop are inside.
    - ``predict_images``: ``images``, pixels as the model takes them (float32,
      ``(batch, height, width, channels)``), to ``probabilities`` (float32,
      ``(batch, classes)``).

    Args:
        model: a TNT with softmax head and preprocessing inside; 1 or 3 channels.
        path: the folder of the model; the version becomes a folder in it.
        labels: names of the classes; their indices by default.
        version: a positive number; the next free one by default.
        top_k: classes in an answer; all of them if there are fewer.
        crop_fraction: central share of a picture that is looked at.
        overwrite: whether an existing version may be replaced.

    Returns:
        The `pathlib.Path` of the version's folder.

    Raises:
        ValueError: if labels, version, ``top_k`` or model do not fit.
        FileExistsError: if the version exists, without ``overwrite``.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> keras_tnt.export_saved_model(model, "pets", labels=["cat", "dog"]).name
        '1'
    """
    labels = _checked_labels(model, labels)
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}.")
    path = Path(path)
    version = _next_version(path) if version is None else version
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"version must be a positive whole number, got {version!r}.")
    target = path / str(version)
    if target.exists() and not overwrite:
        raise FileExistsError(
            f"{target} exists. Choose another version, leave it out for the next free "
            "one, or pass overwrite=True."
        )
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        _classify_files(model, labels, min(top_k, len(labels)), crop_fraction),
        [tf.TensorSpec((None,), tf.string, name="image_bytes")],
    )
    archive.add_endpoint(
        "predict_images",
        lambda images: {"probabilities": model(images, training=False)},
        [tf.TensorSpec(model.input_shape, tf.float32, name="images")],
    )
    path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path, prefix=".export-") as folder:
        written = Path(folder) / "saved_model"
        archive.write_out(written, verbose=False)
        _move_into_place(written, target, replaced=Path(folder) / "replaced")
    return target


def check_saved_model(path, images, expected, tolerance=1e-5):
    """Runs a SavedModel on the CPU in a process that cannot import Keras, and compares.

    Args:
        path: the version's folder.
        images: pixels for ``predict_images``, float32 ``(batch, height, width,
            channels)``.
        expected: the live model's probabilities, ``(batch, classes)``.
        tolerance: largest difference allowed.

    Returns:
        The largest difference found.

    Raises:
        RuntimeError: if the SavedModel does not run there, or differs by more.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.export import check_saved_model
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> version = keras_tnt.export_saved_model(model, "cats_and_dogs")
        >>> images = numpy.zeros((1, 64, 64, 3), "float32")
        >>> expected = model.predict(images, verbose=0)
        >>> check_saved_model(version, images, expected) < 1e-5
        True
    """
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = Path(folder) / "inputs.npy", Path(folder) / "outputs.npy"
        np.save(inputs, images)
        process = subprocess.run(
            [sys.executable, RELOAD, path, inputs, outputs],
            # On the CPU: this process may hold all memory of the GPUs.
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
        )
        if process.returncode:
            raise RuntimeError(
                f"{path} does not run without Keras:\n{process.stderr.strip()}"
            )
        difference = float(np.abs(np.load(outputs) - expected).max())
    if not difference <= tolerance:
        raise RuntimeError(
            f"{path} predicts otherwise than the model it was made from: the largest "
            f"difference is {difference:.2g}, allowed is {tolerance:.2g}."
        )
    return difference


def _checked_labels(model, labels):
    shapes = [tensor.shape for tensor in (*model.inputs, *model.outputs)]
    if [len(shape) for shape in shapes] != [4, 2] or shapes[0][-1] not in (1, 3):
        raise ValueError(
            "Expected a classifier of gray or color pictures, got a model from "
            f"{model.input_shape} to {model.output_shape}."
        )
    classes = model.output_shape[-1]
    labels = [str(i) for i in range(classes)] if labels is None else list(labels)
    if len(labels) != classes:
        raise ValueError(
            f"Expected a label for each of the {classes} classes, got {len(labels)}."
        )
    if not all(isinstance(label, str) for label in labels):
        raise ValueError(f"Labels must be strings, got {labels[:3]}…")
    return labels


def _move_into_place(written, target, replaced):
    """Moves a folder; one that was there before goes away only if that worked."""
    if target.exists():
        os.replace(target, replaced)
    try:
        os.replace(written, target)
    except BaseException:
        if replaced.exists():
            os.replace(replaced, target)
        raise


def _next_version(path):
    versions = [int(entry.name) for entry in path.glob("*") if entry.name.isdecimal()]
    return max(versions, default=0) + 1


def _classify_files(model, labels, top_k, crop_fraction):
    """Returns the function behind ``serving_default``."""
    _, height, width, channels = model.input_shape
    names = tf.constant(labels)

    def read(contents):
        image = decode_image(contents)
        if channels == 1:
            image = tf.image.rgb_to_grayscale(image)
        return preprocess_input(image, (height, width), crop_fraction)

    def classify(image_bytes):
        spec = tf.TensorSpec((height, width, channels), tf.float32)
        images = tf.map_fn(read, image_bytes, fn_output_signature=spec)
        scores, ids = tf.math.top_k(model(images, training=False), top_k)
        return {
            "classes": tf.gather(names, ids),
            "class_ids": tf.cast(ids, tf.int64),
            "scores": scores,
        }

    return classify
