"""Validation of models, image sizes and labels before an export."""

from collections.abc import Sequence

import keras

from keras_tnt.models.functional import Functional
from keras_tnt.structure import find_tnt, has_graph, has_preprocessing
from keras_tnt.structure.architecture import image_size as size_of_tnt
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.counts import as_whole_number


def as_functional(model: keras.Model) -> keras.Model:
    """Return a model as a functional one with one input and one output tensor.

    Args:
        model: a functional, Sequential or subclassed model of one input and one output.

    Returns:
        A functional `keras.Model` of the same layers, ``model`` itself if it was built
        by this package. A subclassed model is its only layer.

    Raises:
        ValueError: if the model has not been built, or has several inputs or outputs.
    """
    if not has_graph(model):
        shape = (model.get_build_config() or {}).get("input_shape")
        if getattr(model, "inputs", None):
            shape = model.input_shape
        if not model.built or not isinstance(shape, (tuple, list)):
            raise ValueError(
                f"Model {model.name!r} has not been built, so the size of its images "
                "is not known. Begin it with keras.Input((height, width, channels)), "
                "or call it on a batch of images first."
            )
        images = keras.Input(shape[1:])
        return keras.Model(images, model(images), name=model.name)
    shapes = [tuple(tensor.shape) for tensor in (*model.inputs, *model.outputs)]
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "Expected a classifier of gray or color images, with one input and one "
            f"output, got a model with tensors of shapes {shapes}."
        )
    if isinstance(model, Functional):  # it computes less than a model of its graph
        return model
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


def choose_image_size(
    model: keras.Model, image_size: tuple[int, int] | None
) -> tuple[int, int]:
    """Return the height and width of the images that an exported model decodes.

    Args:
        model: a functional model on images.
        image_size: ``(height, width)``, or ``None``.

    Returns:
        The size of the model's input. If that is open, ``image_size``, or by default
        the size of the first layer of static size, such as a Resizing; otherwise the
        native size of a TNT on images of any size.

    Raises:
        ValueError: if ``image_size`` is invalid or not that of the model's input, or
            the size is open and no layer has one.
    """
    static = _static_size(model.inputs[0])
    if image_size is None:
        size = _first_static_size(model) or _native_size(model)
        if size is None:
            raise ValueError(
                f"Model {model.name!r} takes images of any size, and no layer of it "
                "tells one. Pass the size that images are resized to: "
                "image_size=(height, width)."
            )
        return size
    size = tuple(
        as_whole_number(side) or 0 for side in as_list("image_size", image_size)
    )
    if len(size) != 2 or min(size) < 1:
        raise ValueError(
            f"image_size must be two positive whole numbers, got {image_size!r}."
        )
    if static not in (None, size):
        raise ValueError(
            f"Model {model.name!r} takes images of size {static}, got "
            f"image_size={size}. Leave it out, or begin the model with Resizing."
        )
    return size


def keeps_any_size(model: keras.Model, image_size: tuple[int, int] | None) -> bool:
    """Return whether the export of a model takes images of any size, as the model does.

    Args:
        model: a functional model on images, with a TNT among its layers.
        image_size: ``(height, width)`` asked for, or ``None``.
    """
    return image_size is None and _first_static_size(model) is None


def _first_static_size(model):
    """The size of the input, or of the first layer that has a static one."""
    tensors = (model.inputs[0], *_tensors(model))
    return next(filter(None, map(_static_size, tensors)), None)


def _native_size(model):
    """The image size of the TNT in a model, the native one if it takes any."""
    try:
        return size_of_tnt(find_tnt(model))
    except ValueError:  # there is no TNT
        return None


def _tensors(model):
    """The outputs of all layers, also of nested models, from the first to the last."""
    for layer in model.layers:
        if has_graph(layer):
            yield from _tensors(layer)
        for node in layer._inbound_nodes:
            yield from node.output_tensors


def _static_size(tensor):
    shape = tuple(tensor.shape)
    return shape[1:3] if len(shape) == 4 and None not in shape[1:3] else None


def with_image_size(model: keras.Model, image_size: tuple[int, int]) -> keras.Model:
    """Return a functional model on images of a static size, with the same layers."""
    if _static_size(model.inputs[0]):
        return model
    images = keras.Input((*image_size, model.input_shape[-1]))
    return keras.Model(images, model(images), name=model.name)


def check_labels(model: keras.Model, labels: Sequence[str] | None) -> list[str]:
    """Check that a model is an image classifier, and return its labels.

    Args:
        model: a functional `keras.Model`.
        labels: names of the classes; ``None`` for their indices.

    Returns:
        The labels, a list of strings.

    Raises:
        ValueError: if it is another kind of model, or the labels do not fit.
    """
    shapes = model.input_shape, model.output_shape
    if [len(shape) for shape in shapes] != [4, 2] or shapes[0][-1] not in (1, 3):
        raise ValueError(
            "Expected a classifier of gray or color images, got a model from shape "
            f"{shapes[0]} to {shapes[1]}."
        )
    if not has_preprocessing(model):
        raise ValueError(
            f"Model {model.name!r} expects scaled images. Build it with "
            "include_preprocessing=True, and load its weights into that model."
        )
    classes = model.output_shape[-1]
    labels = [str(i) for i in range(classes)] if labels is None else labels
    labels = as_list("labels", labels)
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
