"""Validation of models and labels before an export."""

from collections.abc import Sequence

import keras

from keras_tnt.structure import has_preprocessing


def check_labels(model: keras.Model, labels: Sequence[str] | None) -> list[str]:
    """Check that a model is an image classifier, and return its labels.

    Args:
        model: a `keras.Model`.
        labels: names of the classes; ``None`` for their indices.

    Returns:
        The labels, a list of strings.

    Raises:
        ValueError: if it is another kind of model, or the labels do not fit.
    """
    shapes = [tensor.shape for tensor in (*model.inputs, *model.outputs)]
    if [len(shape) for shape in shapes] != [4, 2] or shapes[0][-1] not in (1, 3):
        raise ValueError(
            "Expected a classifier of gray or color images, got a model from shape "
            f"{model.input_shape} to {model.output_shape}."
        )
    if not has_preprocessing(model):
        raise ValueError(
            f"Model {model.name!r} expects scaled images. Build it with "
            "include_preprocessing=True, and load its weights into that model."
        )
    classes = model.output_shape[-1]
    labels = [str(i) for i in range(classes)] if labels is None else list(labels)
    if len(labels) != classes:
        raise ValueError(
            f"Expected a label for each of the {classes} classes, got {len(labels)}."
        )
    if not all(isinstance(label, str) for label in labels):
        raise ValueError(f"Labels must be strings, got {labels[:3]}…")
    invalid = [label for label in labels if len(label.splitlines()) != 1]
    if invalid:
        raise ValueError(f"Each label must be one line, got {invalid[:3]}.")
    return labels
