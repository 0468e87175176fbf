"""The graph of a model: rebuild it, and extend it to the input of an outer model."""

import itertools
from collections.abc import Callable

import keras
import numpy as np

from keras_tnt.structure.architecture import find_tnt, path_to_tnt, stem
from keras_tnt.utils.typing import Tensor

GRAY = 200  # of the image that `scales_images` shows a model


def extend_from_input(model: keras.Model, part: keras.Model) -> keras.Model:
    """Return a part of a TNT, extended to the input of the model around the TNT.

    Args:
        model: a model with a TNT among its layers, at any depth, or a TNT itself.
        part: a functional `keras.Model` on the input of ``find_tnt(model)``.

    Returns:
        A functional `keras.Model` from the input of ``model`` to the outputs of
        ``part``. Of several inputs it has those that the TNT depends on. It shares
        layers and weights with ``model``, and is ``part`` itself if ``model`` is the
        TNT.

    Raises:
        ValueError: if ``model`` or a model between the two is not functional, or calls
            the TNT on more than one input.

    Example:
        >>> import keras, keras_tnt
        >>> from keras_tnt.structure import find_tnt, extend_from_input
        >>> tnt = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, include_top=False,
        ...                     input_shape=(32, 64, 3), pooling="token")
        >>> resizing = keras.layers.Resizing(32, 64)
        >>> model = keras.Sequential([keras.Input((80, 80, 3)), resizing, tnt])
        >>> tokens = keras.Model(tnt.input, tnt.get_layer("block_1").output[1])
        >>> extend_from_input(model, tokens).input_shape
        (None, 80, 80, 3)
    """
    path = path_to_tnt(model)
    for outer, inner in reversed(list(itertools.pairwise(path))):
        part = _from_outer_input(outer, inner, part)
    return part


def _from_outer_input(outer, inner, part):
    """``part``, on the input of ``inner``, as a model on the input of ``outer``."""
    if not getattr(outer, "inputs", None):
        raise ValueError(
            f"Model {outer.name!r} is not functional, or not built, so it is not known "
            f"how its input reaches its layer {inner.name!r}. Pass that layer, and the "
            f"input that it expects: model.get_layer({inner.name!r})."
        )
    calls = []

    def call(layer, *args, **kwargs):
        if layer is inner:
            calls.append((args, part(*args)))
        return layer(*args, **kwargs)

    rebuild_graph(outer, call)
    if len(calls) != 1:
        raise ValueError(
            f"Expected model {outer.name!r} to call its layer {inner.name!r} on one "
            f"input, but it does so on {len(calls)} inputs. Pass that layer: "
            f"model.get_layer({inner.name!r})."
        )
    inputs, outputs = calls[0]
    return model_to(inputs, outputs, part.name)


def has_preprocessing(model: keras.Model) -> bool:
    """Return whether a model scales pixel values 0-255 before its TNT's first layer.

    Resizing and cropping do not count, nor does scaling that takes images 0-1. The
    answer comes from a gray image.

    Args:
        model: a model on images. One without a TNT, or whose graph is not known, counts
            as one that preprocesses its images.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.structure import has_preprocessing
        >>> has_preprocessing(keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3,
        ...                                 input_shape=(32, 64, 3)))
        True
    """
    return scales_images(model) is not False


def scales_images(model: keras.Model) -> bool | None:
    """Return what `has_preprocessing` does, or ``None`` if it is not known."""
    before = before_tnt(model)
    if before is None:
        return None
    (image,) = before.inputs
    shape = [1, *(side or 64 for side in image.shape[1:])]
    values = keras.ops.convert_to_numpy(before(np.full(shape, GRAY, image.dtype)))
    return bool(np.any(values != GRAY) and np.abs(values).max() <= 255)


def before_tnt(model: keras.Model) -> keras.Model | None:
    """Return the part of a model from its images to the TNT's first layer.

    Returns:
        A functional `keras.Model` of one input, or ``None`` for a model without a TNT,
        whose graph is not known, or in which several inputs lead to the TNT.
    """
    try:
        tnt = find_tnt(model)
        before = extend_from_input(model, keras.Model(tnt.input, stem(tnt).input))
    except ValueError:
        return None
    return before if len(before.inputs) == 1 else None


def rebuild_graph(model: keras.Model, call: Callable[..., Tensor]) -> keras.Model:
    """Call the layers of a functional model again, in the order of its graph.

    The result has a new graph of the same layers. `clone_model` is the only public API
    that exposes the call graph.

    Args:
        model: a functional model.
        call: function of a layer and its arguments. Its result replaces the output of
            the layer.

    Returns:
        A functional `keras.Model` on the inputs of ``model``.

    Example:
        ```python
        def scale(layer, *args, **kwargs):
            outputs = layer(*args, **kwargs)
            return 2 * outputs if layer.name == "norm" else outputs

        scaled = rebuild_graph(tnt, scale)
        ```
    """
    return keras.models.clone_model(
        keras.Model(_single(model.inputs), _single(model.outputs)),
        clone_function=lambda layer: layer,
        call_function=call,
    )


def model_to(images: Tensor, outputs: Tensor, name: str) -> keras.Model:
    """Return a functional model to tensors, from all inputs behind the images.

    Args:
        images: a Keras tensor on which the outputs depend, and on nothing else. The
            search for its inputs takes time exponential in the layers of two inputs
            before it, so pass the images of a TNT, not its outputs.
        outputs: a Keras tensor, or a nested structure of them.
        name: name of the model.

    Example:
        ```python
        tokens = model_to(tnt.input, tnt.get_layer("norm").output, "tokens")
        ```
    """
    (first, *_) = keras.tree.flatten(images)
    inputs = _single(keras.utils.get_source_inputs(first))
    return keras.Model(inputs, outputs, name=name)


def _single(tensors):
    return tensors[0] if len(tensors) == 1 else tensors
