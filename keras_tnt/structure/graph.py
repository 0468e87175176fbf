"""The graph of a model: rebuilt, and extended to the input of an outer model."""

import itertools
from collections.abc import Callable

import keras

from keras_tnt.structure.architecture import path_to_tnt
from keras_tnt.utils.typing import Tensor


def extend_from_input(model: keras.Model, part: keras.Model) -> keras.Model:
    """Put what a model does before its TNT in front of a part of that TNT.

    Args:
        model: a model with a TNT among its layers, at any depth, or a TNT itself.
        part: a functional `keras.Model` on the input of ``find_tnt(model)``.

    Returns:
        A functional `keras.Model` from the input of ``model`` (of several inputs, from
        those that the TNT depends on) to what ``part`` gives; ``part`` itself if the
        TNT is not nested. Layers and weights are shared.

    Raises:
        ValueError: if ``model`` or a model between is not functional, or uses the TNT
            on more than one input.

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
            f"Model {outer.name!r} is not functional (or not built), so that its input "
            f"cannot be followed to its layer {inner.name!r}. Give that layer, with "
            f"what it expects as input: model.get_layer({inner.name!r})."
        )
    outputs = []

    def call(layer, *args, **kwargs):
        if layer is inner:
            outputs.append(part(*args))
        return layer(*args, **kwargs)

    rebuild_graph(outer, call)
    if len(outputs) != 1:
        raise ValueError(
            f"Model {outer.name!r} uses its layer {inner.name!r} on {len(outputs)} "
            f"inputs, and one was expected. Give that layer: "
            f"model.get_layer({inner.name!r})."
        )
    return model_to(outputs[0], part.name)


def rebuild_graph(model: keras.Model, call: Callable[..., Tensor]) -> keras.Model:
    """Call the layers of a functional model again, as its graph has them.

    `clone_model` is the only public API that exposes the call graph. The layers are
    the model's own, the graph is a new one.

    Args:
        model: a functional model.
        call: function of a layer and its arguments; what it gives takes the place of
            what the layer gives.

    Returns:
        A functional `keras.Model` on the inputs of ``model``.
    """
    return keras.models.clone_model(
        keras.Model(_single(model.inputs), _single(model.outputs)),
        clone_function=lambda layer: layer,
        call_function=call,
    )


def model_to(outputs: Tensor, name: str) -> keras.Model:
    """Make a functional model to tensors, from all inputs that they come from."""
    first = keras.tree.flatten(outputs)[0]
    inputs = _single(keras.utils.get_source_inputs(first))
    return keras.Model(inputs, outputs, name=name)


def _single(tensors):
    return tensors[0] if len(tensors) == 1 else tensors
