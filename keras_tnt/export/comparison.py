"""Comparison of an export with its Keras model."""

from pathlib import Path

import keras
import numpy as np

from keras_tnt.export.load_exported import load_exported
from keras_tnt.structure import find_head

# Tolerated difference of probabilities from the Keras model: the maximum over the
# sample images in float32, the mean over them in lower precision.
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.02, "float16": 0.02, "int8": 0.1}
ROUNDING = 0.02  # of the sum of probabilities in half precision
PROBABILITIES = {
    "softmax": keras.activations.softmax,
    "sigmoid": keras.activations.sigmoid,
    "linear": keras.activations.softmax,  # logits of classes that exclude each other
}


def output_activation(model: keras.Model, image_size: tuple[int, int]) -> str:
    """Return what the output of a classifier is.

    The graph tells it. If it does not, as in a subclassed model, the outputs for images
    of noise tell it: probabilities sum to 1, and logits are partly negative.

    Args:
        model: a functional classifier.
        image_size: ``(height, width)`` of its images.

    Returns:
        ``"softmax"`` for probabilities that sum to 1, ``"sigmoid"`` for probabilities
        that do not depend on each other, or ``"linear"`` for logits.

    Raises:
        ValueError: if the output is none of these.
    """
    activation = find_head(model).activation
    if activation in PROBABILITIES:
        return activation
    if activation is None:
        outputs = run(model, noise((*image_size, model.input_shape[-1])))
        if outputs.min() < 0:
            return "linear"
        if are_probabilities(outputs):
            return "softmax"
    raise ValueError(
        f"The output of model {model.name!r} is neither probabilities nor logits: it "
        + (
            "has no negative value and does not sum to 1."
            if activation is None
            else f"ends in the activation {activation}."
        )
        + " End the model in a Dense layer with softmax, sigmoid or no activation."
    )


def are_probabilities(outputs: np.ndarray) -> bool:
    """Return whether the outputs for each image are positive or 0 and sum to 1."""
    sums = outputs.sum(axis=1)
    return bool(outputs.min() >= 0 and np.allclose(sums, 1, atol=ROUNDING))


def compare(
    path: Path, file_format: str, model: keras.Model, images: np.ndarray, precision: str
) -> float:
    """Load an export in its own runtime, and compare it with a model.

    It runs twice: a batch of one image, and one of all others.

    Args:
        path: the file or directory; of a SavedModel, the version's.
        file_format: the format of the export.
        model: a functional classifier.
        images: float32 images at the model's size.
        precision: of the export, for the tolerance.

    Returns:
        The difference of the probabilities, as in `TOLERANCES`.

    Raises:
        RuntimeError: if the export differs by more, or does not run.
    """
    exported = load_exported(path, file_format)
    try:
        parts = [part for part in (images[:1], images[1:]) if len(part)]
        found = [exported.predict_on_batch(part) for part in parts]
    except Exception as error:  # the runtimes' errors have no common base class
        raise RuntimeError(
            "The exported model does not run on batches of "
            f"1 and {len(images) - 1} images: {error}. Nothing was written."
        ) from error
    expected = probabilities(model, images)
    differences = np.abs(np.concatenate(found) - expected).max(axis=1)
    difference = float(
        differences.max() if precision == "float32" else differences.mean()
    )
    tolerance = TOLERANCES.get(precision, TOLERANCES["float16"])
    if not difference <= tolerance:  # catches NaN too
        raise RuntimeError(
            "The exported model does not predict what the Keras model predicts: the "
            f"difference of the probabilities is {difference:.2g}, expected at most "
            f"{tolerance:.2g}. Nothing was written."
        )
    return difference


def probabilities(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the probabilities of a functional classifier, also of one with logits."""
    outputs = run(model, images)
    if output_activation(model, images.shape[1:3]) == "linear":
        outputs = keras.ops.convert_to_numpy(keras.ops.softmax(outputs))
    return outputs


def run(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the output of a functional model, float32."""
    outputs = model(images, training=False)
    return keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32"))


def noise(shape: tuple[int, int, int], number: int = 8) -> np.ndarray:
    """Images of coarse and fine noise, always the same, float32."""
    height, width, channels = shape
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (number, 5, 5, channels)).astype("float32")
    images = keras.ops.convert_to_numpy(
        keras.ops.image.resize(
            coarse, (height, width), "bicubic", data_format="channels_last"
        )
    )
    images = images + rng.normal(0, 10, images.shape)
    return np.clip(images, 0, 255).astype("float32")
