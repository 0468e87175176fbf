"""Export to every format: write, reload, compare, move into place."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.export.comparison import (
    TOLERANCES,
    compare,
    noise,
    output_activation,
    probabilities,
)
from keras_tnt.export.litert import write_litert
from keras_tnt.export.metadata import ExportMetadata
from keras_tnt.export.onnx import write_onnx
from keras_tnt.export.openvino import write_openvino
from keras_tnt.export.precision import (
    HALF,
    in_precision,
    inference_precision,
    precision_of,
)
from keras_tnt.export.publish import choose_version, directory_beside, move_into_place
from keras_tnt.export.saved_model import write_saved_model
from keras_tnt.export.validation import (
    as_functional,
    check_labels,
    choose_image_size,
    keeps_any_size,
    with_image_size,
)
from keras_tnt.images import CROP_FRACTION
from keras_tnt.images.preprocess import check_scale
from keras_tnt.utils.backend import require_tensorflow_backend
from keras_tnt.utils.files import local_path
from keras_tnt.utils.typing import PathLike
from keras_tnt.weights.lora import has_lora

# The precisions that a format has. bfloat16 and int8 are where they are faster than
# float32 on CPUs, see docs/export.md.
PRECISIONS = {
    "savedmodel": ("float32", "float16", "bfloat16"),
    "onnx": ("float32", "float16", "int8"),
    "litert": ("float32", "float16", "int8"),
    "openvino": ("float32", "float16", "bfloat16", "int8"),
}


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
    image_size: tuple[int, int] | None = None,
    for_cpus: bool = False,
) -> Export:
    """Export a classifier, and check that it runs and predicts the same.

    The model is written to a temporary name, loaded in the format's own runtime,
    compared with the Keras model and then moved into place. OpenVINO is asked to
    compute a float32 export in float32, while its default is bfloat16 on CPUs that
    have it; docs/export.md says how to ask for it.

    Every format takes ``images``, pixels 0-255 at the model's size (float32,
    ``(batch, height, width, channels)``, any batch), and returns ``probabilities``
    (float32, ``(batch, classes)``). The metadata contain class names, image size, crop
    and precision.

    Args:
        model: a classifier that is or contains a TNT, functional, Sequential or
            subclassed, with softmax, preprocessing inside and 1 or 3 channels. Mixed
            and half precision, also of nested models, are exported as float32.
        path: the file (``"onnx"``, ``"litert"``) or directory. The directory of a
            ``"savedmodel"`` has a directory for each version; see `export_saved_model`.
        file_format: ``"savedmodel"``, ``"onnx"``, ``"litert"`` or ``"openvino"``. The
            last three need the extra ``export``.
        precision: ``"float32"``, ``"float16"``, ``"bfloat16"`` (SavedModel and
            OpenVINO) or ``"int8"`` (all but SavedModel). docs/export.md says what each
            format rounds. ``"auto"`` is bfloat16 where the format has it, this machine
            has no GPU and its CPU has bfloat16 in hardware, otherwise float32.
        labels: names of the classes; their indices by default.
        crop_fraction: central share of an image that the model sees.
        calibration: images of the training set at the model's size, ``(number, height,
            width, channels)``, 0-255. ``"int8"`` of OpenVINO needs them to measure the
            ranges of the values. The first ones are used to compare.
        version: version of a SavedModel, a positive number; the next free one by
            default.
        overwrite: whether an existing ``path`` (or version) may be replaced.
        image_size: ``(height, width)`` of the export, for a model on images of any
            size; by default that of its first layer of static size, such as a Resizing.
            If there is none, because the TNT itself takes any size, a SavedModel and
            any export in float32 do too, and others have its native size.
        for_cpus: whether a SavedModel has the layer norms that TensorFlow fuses on
            CPUs, as in `export_saved_model`. In bfloat16 it always has them.

    Returns:
        An `Export`.

    Raises:
        ValueError: if an argument or the model does not fit, the calibration images
            look scaled to 0-1, or the model has not been built.
        FileExistsError: if the target exists, without ``overwrite``.
        ImportError: if a package of the extra ``export`` is missing.
        RuntimeError: if the predictions differ, or a batch of one or of several images
            does not run. Nothing is written.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.export import export_model
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> export_model(model, "pets", labels=["cat", "dog"]).difference < 1e-4
        True
    """
    require_tensorflow_backend("An export")
    _check_format(file_format, precision)
    if for_cpus and file_format != "savedmodel":
        raise ValueError(
            f"for_cpus is for a savedmodel, got {file_format}, which runs on CPUs."
        )
    if precision == "auto":
        fastest = inference_precision()
        precision = fastest if fastest in PRECISIONS[file_format] else "float32"
    model = as_functional(model)
    labels = check_labels(model, labels)
    shape = (*choose_image_size(model, image_size), model.input_shape[-1])
    _check(model, shape, file_format, precision, calibration, version)
    path = local_path(path)
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
    if calibration is not None:
        calibration = np.asarray(calibration, "float32")
    samples = noise(shape) if calibration is None else calibration[:32]
    if precision_of(model) != "float32" or has_lora(model):
        model = _in_float32(model, samples)
    is_open = precision == "float32" and keeps_any_size(model, image_size)
    fixed = model if is_open else with_image_size(model, shape[:2])
    metadata = ExportMetadata(labels, shape, crop_fraction, precision)
    with directory_beside(target) as directory:
        # The name is kept, because some formats store it.
        written = directory / "written" / path.name
        written.parent.mkdir()
        if file_format == "savedmodel":
            for_cpus = for_cpus or precision == "bfloat16"
            _write_saved_model(model, written, metadata, version, for_cpus)
        elif file_format == "openvino":
            write_openvino(fixed, written, metadata, calibration)
        else:
            write = {"onnx": write_onnx, "litert": write_litert}[file_format]
            write(fixed, written, metadata)
        difference = compare(written, file_format, fixed, samples, precision)
        move_into_place(written, target, replaced=directory / "replaced")
    return Export(target, difference)


def _check_format(file_format, precision):
    if file_format not in PRECISIONS:
        raise ValueError(
            f"file_format must be one of {tuple(PRECISIONS)}, got {file_format!r}."
        )
    if precision not in ("auto", *PRECISIONS[file_format]):
        raise ValueError(
            f"precision of {file_format} must be 'auto' or one of "
            f"{PRECISIONS[file_format]}, got {precision!r}. docs/export.md says which "
            "format has which precision, and why."
        )


def _check(model, shape, file_format, precision, calibration, version):
    if version is not None and file_format != "savedmodel":
        raise ValueError(f"Only a savedmodel has versions, got {file_format}.")
    if precision_of(model) not in ("float32", *HALF):
        raise ValueError(
            "Expected a model that is not quantized. Export the original model, or "
            "export this one as it is with export_saved_model."
        )
    if calibration is not None and np.shape(calibration)[1:] != shape:
        raise ValueError(
            f"calibration must be images of shape {shape}, got an "
            f"array of shape {np.shape(calibration)}."
        )
    if calibration is not None:
        check_scale(calibration)
    needed = precision == "int8" and file_format == "openvino"
    if needed and (calibration is None or len(calibration) == 0):
        raise ValueError(
            "precision int8 of openvino needs calibration images, some hundred of the "
            "training set: pass calibration=images (--calibration DIRECTORY)."
        )
    if output_activation(model, shape[:2]) != "softmax":
        raise ValueError(
            "Expected a model whose outputs are probabilities. Build it with "
            'classifier_activation="softmax".'
        )


def _in_float32(model, samples):
    """A copy in float32 without LoRA, compared with the model in its precision."""
    copied = in_precision(model, "float32")
    difference = np.abs(probabilities(model, samples) - probabilities(copied, samples))
    tolerance = "float32" if precision_of(model) == "float32" else "int8"
    if difference.max(axis=1).mean() > TOLERANCES[tolerance]:
        raise RuntimeError(
            f"The copy of model {model.name!r} in float32 predicts otherwise than the "
            "model. Check that the config of each of its layers is complete. Nothing "
            "was written."
        )
    return copied


def _write_saved_model(model, path, metadata, version, for_cpus):
    if metadata.precision in HALF:
        model = in_precision(model, metadata.precision)
    write_saved_model(
        model,
        path,
        metadata.labels,
        {"name": path.name, "version": version, "license": None},
        metadata.crop_fraction,
        metadata.image_shape[:2],
        for_cpus=for_cpus,
    )
