"""Loading a classifier: a run, a model in a file, or published weights."""

from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_tnt.compat.model_files import load_keras_file
from keras_tnt.evaluation.class_matching import default_class_names
from keras_tnt.export.comparison import are_probabilities, noise
from keras_tnt.export.exported_model import ExportedModel
from keras_tnt.export.load_exported import find_format, load_exported
from keras_tnt.export.precision import (
    HALF,
    in_precision,
    inference_precision,
    precision_of,
)
from keras_tnt.export.validation import (
    as_functional,
    choose_image_size,
    with_image_size,
)
from keras_tnt.images import CROP_FRACTION
from keras_tnt.models.catalog import create_model
from keras_tnt.structure import find_head, has_preprocessing
from keras_tnt.training.run_directory import RunDirectory
from keras_tnt.utils.counts import check_size
from keras_tnt.weights import registry

PRECISIONS = ("auto", "float32", "bfloat16")


class Classifier(NamedTuple):
    """A model, the names of its classes and the crop of its preprocessing."""

    model: keras.Model | ExportedModel
    class_names: list
    crop_fraction: float

    @property
    def precision(self) -> str:
        """The precision of the arithmetic, such as ``"float32"``."""
        if isinstance(self.model, keras.Model):
            return precision_of(self.model)
        return self.model.metadata.precision if self.model.metadata else "float32"


def load_classifier(
    source: str,
    image_size: tuple[int, int] | None = None,
    precision: str | None = None,
) -> Classifier:
    """Load a classifier of any format, detected from its content.

    Args:
        source: a run directory, a Keras file, an exported model (the directory of a
            SavedModel or of its version, an ONNX or LiteRT file, the directory or XML
            file of OpenVINO), or ``tnt_small`` or ``tnt_base`` for the published
            ImageNet weights.
        image_size: ``(height, width)`` of the images, for a Keras file that takes any
            size, by default that of its first layer of static size, such as a
            Resizing; or for published weights, 224x224 by default. Other models have a
            size.
        precision: of the arithmetic of a Keras model, ``"float32"`` or ``"bfloat16"``;
            ``"auto"`` is bfloat16 if this machine has no GPU and its CPU has bfloat16
            in hardware, otherwise float32. By default the model's own. An exported
            model has its own only.

    Returns:
        A `Classifier`. Exports and runs contain the names of their classes. Other
        models of 1,000 classes get those of ImageNet, all others their indices.

    Raises:
        FileNotFoundError: if there is no such file or directory.
        ValueError: if it is damaged, not a classifier of images with pixels 0-255 that
            returns probabilities, or a run that has not ended; or if ``image_size`` or
            ``precision`` is invalid or another than the model's.
        ImportError: if the runtime of an exported model is not installed.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.inference.classifier import load_classifier
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> model.save("pets.keras")
        >>> load_classifier("pets.keras").class_names
        ['0', '1']
    """
    if image_size is not None:
        image_size = check_size("image_size", image_size)
    if precision not in (None, *PRECISIONS):
        raise ValueError(
            f"precision must be None or one of {PRECISIONS}, got {precision!r}."
        )
    classifier = _load(source, image_size)
    if precision is None:
        return classifier
    return _in_precision(source, classifier, precision)


def _load(source, image_size):
    if source in registry.PUBLISHED:
        options: dict[str, Any] = {}
        if image_size is not None:
            options["input_shape"] = (*image_size, 3)
        model = create_model(source, **options)
        return _without_metadata(model)
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(
            f"There is no model {source!r}. Expected a run directory, a .keras "
            f"file, an exported model, or one of {', '.join(registry.PUBLISHED)}."
        )
    run = RunDirectory(path)
    if run.recipe.is_file():
        return _load_run(run, image_size)
    file_format, path = find_format(path)
    if file_format is None:
        raise ValueError(
            f"{source!r} is not a model. Expected a run directory (with recipe.json), "
            "a .keras file, a SavedModel, or an ONNX, LiteRT or OpenVINO file. Load a "
            "file of weights into a model with keras_tnt.load_weights, and save it "
            "with model.save."
        )
    if file_format == "keras":
        return _without_metadata(_load_keras(path, image_size))
    model = load_exported(path, file_format)
    if model.metadata is not None:  # the file itself may take images of any size
        model = model._replace(input_shape=(None, *model.metadata.image_shape))
    _check_shapes(path, model.input_shape, model.output_shape)
    if image_size not in (None, model.input_shape[1:3]):
        raise ValueError(
            f"{str(path)!r} takes images of size {model.input_shape[1:3]}, got "
            f"image_size={image_size}. Leave it out, or export the model anew."
        )
    if model.metadata is None:
        _check_probabilities(path, model.predict_on_batch, model.input_shape)
        return _without_metadata(model)
    return _with_names(path, model, model.metadata.labels, model.metadata.crop_fraction)


def _in_precision(source, classifier, precision):
    """The classifier in this precision; an exported model keeps its own."""
    model, own = classifier.model, classifier.precision
    if precision == "auto":
        precision = inference_precision() if isinstance(model, keras.Model) else own
    if precision == own:
        return classifier
    if isinstance(model, keras.Model) and own in ("float32", *HALF):
        model = in_precision(as_functional(model), precision)
        return classifier._replace(model=model)
    kind = "a quantized" if isinstance(model, keras.Model) else "an exported"
    raise ValueError(
        f"{source!r} is {kind} model in {own}, got precision={precision!r}. Leave it "
        "out, or take the model that it was made from."
    )


def _load_run(run, image_size):
    recipe, class_names = run.read_recipe()
    path = run.trained_model()
    model = _load_keras(path, image_size)
    return _with_names(path, model, class_names, recipe.crop_fraction)


def _with_names(path, model, class_names, crop_fraction):
    classes = model.output_shape[-1]
    if len(class_names) != classes:
        raise ValueError(
            f"{str(path)!r} has {classes} classes, but {len(class_names)} names of "
            "classes. Expected the names that it was trained or exported with."
        )
    return Classifier(model, class_names, crop_fraction)


def _without_metadata(model):
    names = default_class_names(model.output_shape[-1])
    return Classifier(model, names, CROP_FRACTION)


def _load_keras(path, image_size):
    """Load a Keras file with a classifier of gray or color images."""
    try:
        model = load_keras_file(path)
    except ValueError as error:
        raise ValueError(f"{str(path)!r} {error}") from error
    ends = [len(getattr(model, name, None) or ()) for name in ("inputs", "outputs")]
    if ends != [1, 1]:
        raise ValueError(
            f"{str(path)!r} is not an image classifier but a model of "
            f"{ends[0]} inputs and {ends[1]} outputs."
        )
    if len(model.input_shape) == 4:
        model = _with_static_size(path, model, image_size)
    _check_shapes(path, model.input_shape, model.output_shape)
    if not has_preprocessing(model):
        raise ValueError(
            f"{str(path)!r} expects scaled images, but gets pixels 0-255. Build "
            "it with include_preprocessing=True, or put its preprocessing before it: "
            "keras.Sequential([keras.layers.Rescaling(1 / 127.5, -1), model])."
        )
    _check_probabilities(path, model, model.input_shape)
    return model


def _with_static_size(path, model, image_size):
    """The model at a size, by default its own or that of its first Resizing."""
    try:
        size = choose_image_size(model, image_size)
    except ValueError as error:
        if image_size is not None:
            raise
        raise ValueError(
            f"{str(path)!r} takes images of any size, and no layer of it tells one. "
            "Begin the model with keras.layers.Resizing(height, width), or pass "
            "image_size=(height, width) (--image-size HEIGHT,WIDTH)."
        ) from error
    return with_image_size(model, size)


def _check_shapes(path, input_shape, output_shape):
    shapes = [len(input_shape), len(output_shape)]
    static = None not in (*input_shape[1:], *output_shape[1:])
    if shapes != [4, 2] or not static or input_shape[-1] not in (1, 3):
        raise ValueError(
            f"{str(path)!r} is not an image classifier but a model from shape "
            f"{tuple(input_shape)} to {tuple(output_shape)}."
        )


def _check_probabilities(path, predict, input_shape):
    """Check that a model returns probabilities, by its graph or on images of noise."""
    is_keras = isinstance(predict, keras.Model)
    activation = find_head(predict).activation if is_keras else None
    if activation == "softmax" and _has_finite_weights(predict):
        return
    scores = keras.ops.convert_to_numpy(predict(noise(input_shape[1:], number=4)))
    scores = scores.astype("float32")
    # Two scores of a sigmoid may sum to 1.
    if activation == "sigmoid" or not are_probabilities(scores):
        raise ValueError(
            f"{str(path)!r} does not return probabilities that sum to 1, but values "
            f"such as {scores[0][:3].tolist()}: logits, independent scores of several "
            "classes, or features. Expected a classifier that ends in a softmax. If "
            "these are logits, append it: keras.Sequential([model, "
            "keras.layers.Softmax()])."
        )


def _has_finite_weights(model):
    weights = (keras.ops.convert_to_numpy(weight) for weight in model.weights)
    return all(np.isfinite(weight).all() for weight in weights)
