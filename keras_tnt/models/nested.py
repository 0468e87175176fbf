"""The TNT inside a model: grown from one, or with one as a layer, however deep."""

import itertools

import keras

from keras_tnt.layers import PixelEmbedding, PyramidStage, PyramidStem


def find_tnt(model):
    """Finds the TNT or PyramidTNT that a model is or has among its layers.

    Args:
        model: a TNT or PyramidTNT; a model grown from the tensors of one; or a model
            with one as a layer, at any depth.

    Returns:
        The `keras.Model` whose own layers are the TNT's: ``model`` itself, or a layer.

    Raises:
        ValueError: if there is none, or more than one.

    Example:
        >>> import keras, keras_tnt
        >>> from keras_tnt.models.nested import find_tnt
        >>> tnt = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, include_top=False,
        ...                     input_shape=(32, 64, 3), pooling="token", name="inside")
        >>> model = keras.Sequential([tnt, keras.layers.Dense(2)])
        >>> find_tnt(model).name
        'inside'
    """
    return _path(model)[-1]


def from_model_input(model, part):
    """Puts what a model does before its TNT in front of a part of that TNT.

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
        >>> from keras_tnt.models.nested import find_tnt, from_model_input
        >>> tnt = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, include_top=False,
        ...                     input_shape=(32, 64, 3), pooling="token")
        >>> resizing = keras.layers.Resizing(32, 64)
        >>> model = keras.Sequential([keras.Input((80, 80, 3)), resizing, tnt])
        >>> tokens = keras.Model(tnt.input, tnt.get_layer("block_1").output[1])
        >>> from_model_input(model, tokens).input_shape
        (None, 80, 80, 3)
    """
    path = _path(model)
    for outer, inner in reversed(list(itertools.pairwise(path))):
        part = _from_outer_input(outer, inner, part)
    return part


def _path(model):
    """The models from ``model`` to the TNT in it, each a layer of the one before."""
    paths = _paths(model, [])
    if len(paths) == 1:
        return paths[0]
    name = getattr(model, "name", type(model).__name__)
    if not paths:
        raise ValueError(
            f"Expected a TNT or PyramidTNT, or a model with one among its layers; "
            f"model {name!r} has no layer of either."
        )
    found = ", ".join("/".join(layer.name for layer in path[1:]) for path in paths)
    raise ValueError(
        f"Model {name!r} has more than one TNT: {found or name}. Give the one that is "
        "meant, model.get_layer(NAME)."
    )


def _paths(model, seen):
    if model in seen:
        return []
    seen.append(model)
    layers = getattr(model, "layers", [])
    own = any(isinstance(layer, (PixelEmbedding, PyramidStem)) for layer in layers)
    paths = [[model]] if own else []
    for layer in layers:
        if isinstance(layer, keras.Model):
            paths += [[model, *path] for path in _paths(layer, seen)]
    return paths


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

    call_again(outer, call)
    if len(outputs) != 1:
        raise ValueError(
            f"Model {outer.name!r} uses its layer {inner.name!r} on {len(outputs)} "
            f"inputs, and one was expected. Give that layer: "
            f"model.get_layer({inner.name!r})."
        )
    return model_to(outputs[0], part.name)


def call_again(model, call):
    """Calls the layers of a functional model again, as its graph has them.

    Keras tells publicly in no other way what a layer is called on. The layers are the
    model's own, the graph is a new one.

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


def model_to(outputs, name):
    """Makes a functional model to tensors, from all inputs that they come from."""
    first = keras.tree.flatten(outputs)[0]
    inputs = _single(keras.utils.get_source_inputs(first))
    return keras.Model(inputs, outputs, name=name)


def stages(model):
    """Returns the stages of a PyramidTNT from first to last; a TNT has none."""
    return [layer for layer in model.layers if isinstance(layer, PyramidStage)]


def _single(tensors):
    return tensors[0] if len(tensors) == 1 else tensors
