"""Whether images have the range of values that a model expects."""

import keras

from keras_tnt.images.preprocess import check_scale
from keras_tnt.structure.graph import before_tnt, scales_images
from keras_tnt.utils.typing import Tensor


def check_model_images(model: keras.Model, images: Tensor) -> None:
    """Refuse images scaled to 0-1 or ±1, if a model scales 0-255 itself.

    Images for a model without preprocessing pass, and those for a model of which it is
    not known.

    Args:
        model: any model.
        images: a batch of images for it; of a model of several inputs a list or dict of
            all of them.

    Raises:
        ValueError: if the images were scaled.
    """
    if isinstance(images, (list, tuple, dict)) and len(model.inputs or ()) > 1:
        before = before_tnt(model)
        if before is None:
            return
        images = select_inputs(before, model, images)
    try:
        check_scale(images)
    except ValueError:
        if scales_images(model):
            raise


def select_inputs(part: keras.Model, model: keras.Model, values: Tensor) -> Tensor:
    """Return those of the values of a model's inputs that lead to a part of it.

    Args:
        part: a functional model from some of the inputs of ``model``.
        model: a functional model of several inputs.
        values: a list of the values of all inputs, or a dict by their names.
    """
    if not isinstance(values, dict):
        inputs = [tensor.name for tensor in model.inputs]
        values = dict(zip(inputs, values, strict=True))
    selected = [values[tensor.name] for tensor in part.inputs]
    return selected if len(selected) > 1 else selected[0]
