"""One way to every format: write, reload, compare, move into place."""

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
from keras_tnt.export.publish import move_into_place, next_version
from keras_tnt.export.saved_model import export_saved_model
from keras_tnt.export.validation import check_labels
from keras_tnt.images import CROP_FRACTION
from keras_tnt.utils.typing import PathLike

FORMATS = ("savedmodel", "onnx", "litert", "openvino")
# How much probabilities may differ from Keras's in float32: of any sample image in
# float32, of the images' mean in the others, where a close decision may turn.
TOLERANCES = {"float32": 1e-4, "float16": 0.02, "int8": 0.1}


class Export(NamedTuple):
    """What was exported.

    Attributes:
        path: the file or directory; of a SavedModel the version's directory.
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
    """Exports a classifier, and makes sure that it runs and gives the same.

    The model is written beside its place under another name, loaded in the format's
    own runtime and compared with the Keras model; only then it is moved there.

    Every format takes ``images``, pixels 0-255 as the model takes them (float32,
    ``(batch, height, width, channels)``, any batch), and gives ``probabilities``
    (float32, ``(batch, classes)``). Class names, image size, crop and precision go
    with it.

    Args:
        model: a TNT with softmax head and preprocessing inside; 1 or 3 channels. Under
            mixed precision it is exported in float32.
        path: the file (``"onnx"``, ``"litert"``) or directory. In that of a
            ``"savedmodel"``, a version is a directory; see `export_saved_model`.
        file_format: ``"savedmodel"``, ``"onnx"``, ``"litert"`` or ``"openvino"``. The
            last three take the extra ``export``.
        precision: ``"float32"``, ``"float16"`` or ``"int8"``; what exactly is rounded
            depends on the format, see docs/export.md.
        labels: names of the classes; their indices by default.
        crop_fraction: central share of an image that is looked at.
        calibration: images as the model takes them, ``(number, height, width,
            channels)``, from the training set; ``"int8"`` takes them in all formats but
            a SavedModel, to measure which values occur. Some of them are compared.
        version: of a SavedModel, a positive number; the next free one by default.
        overwrite: whether something at ``path`` (or that version) may be replaced.

    Returns:
        An `Export`.

    Raises:
        ValueError: if an argument or the model does not fit.
        FileExistsError: if there is something already, without ``overwrite``.
        ImportError: if a package of the extra ``export`` is missing.
        RuntimeError: if the exported model predicts otherwise. Nothing is left then.

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
        version = version or next_version(path)
        target = path / str(version)
    else:
        target = path
    if target.exists() and not overwrite:
        raise FileExistsError(
            f"{target} exists. Choose another, or pass overwrite=True (--overwrite)."
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
        # The name is kept, for formats that note it.
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
        raise ValueError(f"Only a savedmodel has versions, not {file_format}.")
    if precision_of(model) == "int8":
        raise ValueError(
            "Expected a model that is not quantized. Export the one it was made from, "
            'with precision="int8".'
        )
    if calibration is not None and np.shape(calibration)[1:] != model.input_shape[1:]:
        raise ValueError(
            f"calibration must be images of shape {model.input_shape[1:]}, got an "
            f"array of shape {np.shape(calibration)}."
        )
    needed = precision == "int8" and file_format != "savedmodel"
    if needed and (calibration is None or len(calibration) == 0):
        raise ValueError(
            f"precision int8 of {file_format} takes calibration images, some "
            "hundred from the training set: pass calibration=images (--calibration "
            "FOLDER)."
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
            "Expected a model that gives probabilities. Build it with "
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
            "The exported model predicts otherwise than the Keras model: the largest "
            f"difference of a probability is {difference:.2g}, allowed is "
            f"{tolerance:.2g}. Nothing was written."
        )
    return difference


def _noise(shape, number=8):
    """Images of coarse and fine noise, the same each time."""
    height, width, channels = shape
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (number, 5, 5, channels))
    images = tf.image.resize(coarse, (height, width), "bicubic").numpy()
    images += rng.normal(0, 10, images.shape)
    return np.clip(images, 0, 255).astype("float32")
