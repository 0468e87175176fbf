"""Export to every format: write, reload, compare, move into place."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_tnt.export.litert import write_litert
from keras_tnt.export.load_exported import find_format, load_exported
from keras_tnt.export.metadata import ExportMetadata
from keras_tnt.export.onnx import write_onnx
from keras_tnt.export.openvino import write_openvino
from keras_tnt.export.precision import in_int8, precision_of, with_policy
from keras_tnt.export.publish import choose_version, move_into_place
from keras_tnt.export.saved_model import export_saved_model
from keras_tnt.export.validation import check_labels
from keras_tnt.images import CROP_FRACTION
from keras_tnt.utils.typing import PathLike

FORMATS = ("savedmodel", "onnx", "litert", "openvino")
# Tolerated difference of probabilities from the float32 Keras model: the maximum over
# the sample images in float32, the mean over them in lower precision.
TOLERANCES = {"float32": 1e-4, "float16": 0.02, "int8": 0.1}


class Export(NamedTuple):
    """The result of an export.

    Attributes:
        path: the file or directory; for a SavedModel, the directory of the version.
        difference: largest difference of a probability from the Keras model's, in
            float32, on the sample images; in lower precision the mean over them.
    """

    path: Path
    difference: float


def export_model(
    model: keras.Model,
    path: PathLike,
    file_format: str = "savedmodel",
    precision: str = "float32",
    labels: Sequence[str] | None = None,
    crop_fraction: float = CROP_FRACTION,
    calibration: ArrayLike | None = None,
    version: int | None = None,
    overwrite: bool = False,
) -> Export:
    """Export a classifier, and check that it runs and predicts the same.

    The model is written to a temporary name, loaded in the format's own runtime,
    compared with the Keras model and then moved into place.

    Every format takes ``images``, pixels 0-255 at the model's size (float32,
    ``(batch, height, width, channels)``, any batch), and returns ``probabilities``
    (float32, ``(batch, classes)``). The metadata contain class names, image size, crop
    and precision.

    Args:
        model: a TNT with softmax head, preprocessing inside and 1 or 3 channels. Mixed
            precision is exported as float32.
        path: the file (``"onnx"``, ``"litert"``) or directory. The directory of a
            ``"savedmodel"`` has a directory for each version; see `export_saved_model`.
        file_format: ``"savedmodel"``, ``"onnx"``, ``"litert"`` or ``"openvino"``. The
            last three need the extra ``export``.
        precision: ``"float32"``, ``"float16"`` or ``"int8"``. docs/export.md says what
            each format rounds.
        labels: names of the classes; their indices by default.
        crop_fraction: central share of an image that the model sees.
        calibration: images of the training set at the model's size, ``(number, height,
            width, channels)``. ``"int8"`` needs them, except for a SavedModel, to
            measure the ranges of the values. The first ones are used to compare.
        version: version of a SavedModel, a positive number; the next free one by
            default.
        overwrite: whether an existing ``path`` (or version) may be replaced.

    Returns:
        An `Export`.

    Raises:
        ValueError: if an argument or the model does not fit.
        FileExistsError: if the target exists, without ``overwrite``.
        ImportError: if a package of the extra ``export`` is missing.
        RuntimeError: if the predictions differ. Nothing is written.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.export import export_model
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> export_model(model, "pets", labels=["cat", "dog"]).difference < 1e-4
        True
    """
    labels = check_labels(model, labels)
    _check(model, file_format, precision, calibration, version)
    path = Path(path)
    if file_format == "savedmodel":
        version = choose_version(path, version)
        target = path / str(version)
    else:
        target = path
    if target.exists() and not overwrite:
        raise FileExistsError(
            f"{target} exists. Choose another path, or pass overwrite=True "
            "(--overwrite)."
        )
    if precision_of(model) != "float32":
        model = with_policy(model, "float32")
    shape = model.input_shape[1:]
    if calibration is not None:
        calibration = np.asarray(calibration, "float32")
    samples = _noise(shape) if calibration is None else calibration[:32]
    metadata = ExportMetadata(labels, shape, crop_fraction, precision)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = target.parent if target.parent.is_dir() else path.parent
    with tempfile.TemporaryDirectory(dir=beside, prefix=".export-") as directory:
        # The name is kept, because some formats store it.
        written = Path(directory) / "written" / path.name
        written.parent.mkdir()
        if file_format == "savedmodel":
            written = _write_saved_model(model, written, metadata, version)
        else:
            write = {
                "onnx": write_onnx,
                "litert": write_litert,
                "openvino": write_openvino,
            }[file_format]
            write(model, written, metadata, calibration)
        difference = _compare(model, written, samples, precision)
        target.parent.mkdir(exist_ok=True)
        move_into_place(written, target, replaced=Path(directory) / "replaced")
    return Export(target, difference)


def _check(model, file_format, precision, calibration, version):
    if file_format not in FORMATS:
        raise ValueError(f"file_format must be one of {FORMATS}, got {file_format!r}.")
    if precision not in TOLERANCES:
        raise ValueError(
            f"precision must be one of {tuple(TOLERANCES)}, got {precision!r}."
        )
    if version is not None and file_format != "savedmodel":
        raise ValueError(f"Only a savedmodel has versions, got {file_format}.")
    if precision_of(model) == "int8":
        raise ValueError(
            "Expected a model that is not quantized. Export the original model with "
            'precision="int8".'
        )
    if calibration is not None and np.shape(calibration)[1:] != model.input_shape[1:]:
        raise ValueError(
            f"calibration must be images of shape {model.input_shape[1:]}, got an "
            f"array of shape {np.shape(calibration)}."
        )
    needed = precision == "int8" and file_format != "savedmodel"
    if needed and (calibration is None or len(calibration) == 0):
        raise ValueError(
            f"precision int8 of {file_format} needs calibration images, some hundred "
            "of the training set: pass calibration=images (--calibration DIRECTORY)."
        )


def _write_saved_model(model, path, metadata, version):
    if metadata.precision == "float16":
        model = with_policy(model, "float16")
    elif metadata.precision == "int8":
        model = in_int8(model)
    return export_saved_model(
        model,
        path,
        metadata.labels,
        version,
        crop_fraction=metadata.crop_fraction,
    )


def _compare(model, path, images, precision):
    expected = model.predict(images, verbose=0)
    if not np.allclose(expected.sum(axis=1), 1, atol=1e-3):
        raise ValueError(
            "Expected a model whose outputs are probabilities. Build it with "
            'classifier_activation="softmax".'
        )
    exported = load_exported(path, find_format(path)[0])
    differences = np.abs(exported.predict_on_batch(images) - expected).max(axis=1)
    difference = float(
        differences.max() if precision == "float32" else differences.mean()
    )
    tolerance = TOLERANCES[precision]
    if not difference <= tolerance:  # catches NaN too
        raise RuntimeError(
            "The exported model does not predict what the Keras model predicts: the "
            f"difference of the probabilities is {difference:.2g}, expected at most "
            f"{tolerance:.2g}. Nothing was written."
        )
    return difference


def _noise(shape, number=8):
    """Images of coarse and fine noise, always the same."""
    height, width, channels = shape
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (number, 5, 5, channels))
    images = tf.image.resize(coarse, (height, width), "bicubic").numpy()
    images += rng.normal(0, 10, images.shape)
    return np.clip(images, 0, 255).astype("float32")
