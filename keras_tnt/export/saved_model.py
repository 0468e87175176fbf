"""SavedModel in the layout of TensorFlow Serving."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.export.comparison import compare, noise
from keras_tnt.export.precision import precision_of
from keras_tnt.export.publish import (
    choose_version_directory,
    directory_beside,
    move_into_place,
)
from keras_tnt.export.serving import (
    write_batching_parameters,
    write_metadata,
    write_warm_up,
)
from keras_tnt.export.validation import as_functional, check_labels, with_image_size
from keras_tnt.images import CROP_FRACTION, MAX_PIXELS
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.backend import require_tensorflow_backend
from keras_tnt.utils.counts import as_whole_number, check_count
from keras_tnt.utils.files import local_path
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike
from keras_tnt.weights.lora import has_lora, merge_lora

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
RELOAD = Path(__file__).with_name("reload_saved_model.py")


def export_saved_model(
    model: keras.Model,
    path: PathLike,
    labels: Sequence[str] | None = None,
    version: int | None = None,
    top_k: int = 5,
    crop_fraction: float = CROP_FRACTION,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    license: str | None = None,
    overwrite: bool = False,
    image_size: tuple[int, int] | None = None,
    for_cpus: bool = False,
) -> Path:
    """Export a classifier as a SavedModel for TensorFlow Serving.

    The SavedModel needs neither Keras nor this package. It runs on CPUs and GPUs, also
    on others than those of this machine: unless ``for_cpus``, its layer norms are
    primitive operations, not the operation of oneDNN that the live model uses on CPUs.
    It is written to a
    temporary name, loaded, compared with the model and then moved into place. Its
    signatures have a dynamic batch and float32 outputs, for any precision of the model:

    - ``serving_default``: ``image_bytes``, encoded images (string, ``(batch,)``), to
      ``classes`` (string), ``class_ids`` (int64) and ``scores``, each
      ``(batch, top_k)``, best first, and ``ok`` (bool, ``(batch,)``). Decoding,
      resizing and center crop are inside. A corrupt image, or one with more than
      `keras_tnt.images.MAX_PIXELS`, has ``ok`` false, empty classes, ids -1 and scores
      0. It does not affect the other images of its batch.
    - ``predict_images``: ``images``, pixels 0-255 at the model's size, or of any size
      if the model takes that (float32, ``(batch, height, width, channels)``), to
      ``probabilities`` and ``logits``, each ``(batch, classes)``.
    - ``predict_images_uint8``: the same for uint8, because a signature has one dtype.
    - ``features``: ``images`` (float32) to ``embedding``, the input of the head
      ``(batch, dim)`` (the class token of a TNT, the mean patch of a PyramidTNT), and
      ``feature_map``, the patches after the final norm, ``(batch, h, w, dim)``. It
      exists for a model that is a TNT itself and ends in a Dense layer, not for a
      nested TNT.

    The version's directory also has ``assets/labels.txt``, ``metadata.json``, and for
    the server warm-up requests and ``batching_params.pbtxt``; see docs/serving.md.

    Args:
        model: a classifier, such as a TNT, with preprocessing inside and 1 or 3
            channels. Its outputs are probabilities or logits; the graph tells which, or
            for a subclassed model a run on images of noise. After a sigmoid,
            probabilities do not depend on each other.
        path: the directory of the model; the version is a directory in it.
        labels: names of the classes; their indices by default.
        version: a positive number; the next free one by default.
        top_k: number of classes in a prediction; all of them if there are fewer.
        crop_fraction: central share of an image that the model sees.
        batch_sizes: sizes of the batches that the server forms, in ascending order.
        license: SPDX identifier of the weights' license, for the metadata.
        overwrite: whether an existing version may be replaced.
        image_size: ``(height, width)`` that images are decoded to, for a model on
            images of any size; by default that of its first layer of static size, such
            as a Resizing, or the native size of a TNT on images of any size.
        for_cpus: whether to write layer norms as the operation that TensorFlow fuses
            on CPUs, which is slow on other devices. With batches of 16, TNT-S is then
            1.05 times as fast on CPUs.

    Returns:
        The `pathlib.Path` of the version's directory.

    Raises:
        ValueError: if labels, version, ``top_k``, ``batch_sizes``, ``image_size`` or
            model do not fit, or the model has not been built.
        FileExistsError: if the version exists, without ``overwrite``.
        RuntimeError: if the SavedModel predicts otherwise. Nothing is written.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> keras_tnt.export_saved_model(model, "pets", labels=["cat", "dog"]).name
        '1'
    """
    require_tensorflow_backend("An export")
    functional = as_functional(model)
    labels = check_labels(functional, labels)
    batch_sizes = _checked_batch_sizes(batch_sizes)
    top_k = check_count("top_k", top_k)
    path = local_path(path)
    target = choose_version_directory(path, version, overwrite)
    with directory_beside(target) as directory:
        written = directory / "saved_model"
        shape = write_saved_model(
            merge_lora(functional) if has_lora(functional) else functional,
            written,
            labels,
            {"name": path.name, "version": int(target.name), "license": license},
            crop_fraction,
            image_size,
            top_k,
            batch_sizes,
            for_cpus,
        )
        fixed = with_image_size(functional, shape[:2])
        compare(written, "savedmodel", fixed, noise(shape), precision_of(model))
        move_into_place(written, target, replaced=directory / "replaced")
    return target


def write_saved_model(
    model: keras.Model,
    path: Path,
    labels: Sequence[str],
    record: dict[str, Any],
    crop_fraction: float = CROP_FRACTION,
    image_size: tuple[int, int] | None = None,
    top_k: int = 5,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    for_cpus: bool = False,
) -> tuple[int, int, int]:
    """Write a SavedModel and the files beside it; see `export_saved_model`.

    Args:
        model: a functional classifier.
        path: the directory, which is created.
        labels: names of the classes.
        record: entries of the metadata; ``name`` is the name of the model.
        crop_fraction: central share of an image that the model sees.
        image_size: ``(height, width)``, for a model on images of any size.
        top_k: number of classes in a prediction; all of them if there are fewer.
        batch_sizes: sizes of the batches that the server forms.
        for_cpus: whether layer norms are the operation that TensorFlow fuses on CPUs,
            and not primitive ones for any device.

    Returns:
        The shape ``(height, width, channels)`` of decoded images.
    """
    from keras_tnt.export.signatures import Signatures  # a class of TensorFlow

    top_k = min(top_k, len(labels))
    module = Signatures(
        model, labels, top_k, crop_fraction, image_size, for_cpus=for_cpus
    )
    with tempfile.TemporaryDirectory() as directory:
        names = Path(directory) / "labels.txt"
        names.write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
        module.labels = tf.saved_model.Asset(str(names))
        tf.saved_model.save(module, str(path), signatures=module.functions)
    shape = module.input_shape
    write_warm_up(path, record["name"], module.functions, batch_sizes, shape)
    write_batching_parameters(path, batch_sizes)
    description = {
        "precision": precision_of(model),
        "for_cpus": for_cpus,
        "classes": len(labels),
        "top_k": top_k,
        "signatures": sorted(module.functions),
        **_description_of_inputs(shape, crop_fraction),
    }
    write_metadata(path, model, record | description)
    return shape


def check_saved_model(
    path: PathLike, images: ArrayLike, expected: ArrayLike, tolerance: float = 1e-5
) -> float:
    """Run a SavedModel on the CPU in a process that cannot import Keras, and compare.

    Args:
        path: the version's directory.
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
    with tempfile.TemporaryDirectory() as directory:
        inputs, outputs = (
            Path(directory) / "inputs.npy",
            Path(directory) / "outputs.npy",
        )
        np.save(inputs, images)
        process = subprocess.run(
            [sys.executable, RELOAD, path, inputs, outputs],
            # On the CPU: this process may hold all memory of the GPUs.
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        if process.returncode:
            raise RuntimeError(
                f"{path} does not run without Keras:\n{process.stderr.strip()}"
            )
        difference = float(np.abs(np.load(outputs) - expected).max())
    if not difference <= tolerance:
        raise RuntimeError(
            f"{path} does not predict what the model predicts: the largest difference "
            f"is {difference:.2g}, expected at most {tolerance:.2g}."
        )
    return difference


def _checked_batch_sizes(sizes):
    sizes = as_list("batch_sizes", sizes)
    numbers = [as_whole_number(size) or 0 for size in sizes]
    if not numbers or numbers[0] < 1 or numbers != sorted(set(numbers)):
        raise ValueError(
            f"batch_sizes must be positive numbers in ascending order, got {sizes}."
        )
    return numbers


def _description_of_inputs(shape, crop_fraction):
    """The preprocessing of an image, for the metadata."""
    height, width, channels = shape
    return {
        "input": {"height": height, "width": width, "channels": channels},
        "preprocessing": {
            "resize": "bicubic, antialias, until the image covers the box",
            "box": [int(side / crop_fraction) for side in (height, width)],
            "crop": "center",
            "crop_fraction": crop_fraction,
            "values": [0, 255],
            "max_pixels": MAX_PIXELS,
        },
    }
