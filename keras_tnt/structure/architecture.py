"""Whether a model is a TNT, where the TNT is in it, and what it is made of."""

import re
from typing import Any

import keras

from keras_tnt.layers import (
    PixelEmbedding,
    PyramidStage,
    PyramidStem,
    TNTBlock,
    TransformerBlock,
)

# The layer that cuts the image into patches marks the architecture.
STEMS = {"tnt": PixelEmbedding, "pyramid_tnt": PyramidStem}


def architecture(model: keras.Model) -> str | None:
    """Return ``"tnt"`` or ``"pyramid_tnt"`` if a model's own layers are one's.

    Args:
        model: any model. A TNT nested in it does not count; see `find_tnt`.

    Returns:
        The architecture, or ``None`` for any other model.

    Example:
        >>> import keras, keras_tnt
        >>> from keras_tnt.structure import architecture
        >>> architecture(keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3,
        ...                            input_shape=(32, 64, 3)))
        'tnt'
        >>> architecture(keras.Sequential([keras.layers.Dense(2)])) is None
        True
    """
    for name, kind in STEMS.items():
        if any(isinstance(layer, kind) for layer in getattr(model, "layers", ())):
            return name
    return None


def find_tnt(model: keras.Model) -> keras.Model:
    """Return the TNT or PyramidTNT that a model is or has among its layers.

    Args:
        model: a TNT or PyramidTNT; a model grown from the tensors of one; or a model
            with one as a layer, at any depth.

    Returns:
        The `keras.Model` whose own layers are the TNT's: ``model`` itself, or a layer.

    Raises:
        ValueError: if there is none, or more than one, or a layer that is no model
            calls it, such as `keras.layers.TimeDistributed`.

    Example:
        >>> import keras, keras_tnt
        >>> from keras_tnt.structure import find_tnt
        >>> tnt = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, include_top=False,
        ...                     input_shape=(32, 64, 3), pooling="token", name="inside")
        >>> model = keras.Sequential([tnt, keras.layers.Dense(2)])
        >>> find_tnt(model).name
        'inside'
    """
    return path_to_tnt(model)[-1]


def path_to_tnt(model: keras.Model) -> list[keras.Model]:
    """Return the models from ``model`` to its TNT, each a layer of the one before.

    Raises:
        ValueError: if there is no TNT, or more than one.
    """
    paths = _paths(model, [])
    wrappers = list(_wrappers(model))
    if len(paths) == 1 and not wrappers:
        return paths[0]
    name = getattr(model, "name", type(model).__name__)
    if not paths and not wrappers:
        raise ValueError(
            "Expected a TNT or PyramidTNT, or a model with one among its layers; model "
            f"{name!r} has no layer of either."
        )
    found = ["/".join(layer.name for layer in path[1:]) for path in paths]
    found += [wrapper.name for wrapper in wrappers]
    if len(found) > 1:
        raise ValueError(
            f"Model {name!r} has more than one TNT: {', '.join(found) or name}. Pass "
            "one of them: model.get_layer(NAME)."
        )
    (wrapper,) = wrappers
    raise ValueError(
        f"Model {name!r} calls its TNT inside the {type(wrapper).__name__} layer "
        f"{wrapper.name!r}, whose graph is not known. Pass the TNT itself, an "
        f"attribute of model.get_layer({wrapper.name!r}), and the images it expects."
    )


def _paths(model, seen):
    if model in seen:
        return []
    seen.append(model)
    layers = getattr(model, "layers", [])
    paths = [[model]] if architecture(model) else []
    for layer in layers:
        if isinstance(layer, keras.Model):
            paths += [[model, *path] for path in _paths(layer, seen)]
    return paths


def _wrappers(model):
    """Layers that are no models and call a TNT, such as TimeDistributed."""
    for layer in getattr(model, "layers", []):
        if isinstance(layer, keras.Model):
            yield from _wrappers(layer)
        elif any(map(architecture, layer._flatten_layers(include_self=False))):
            yield layer


def stem(model: keras.Model) -> keras.layers.Layer:
    """Return the layer that cuts the image of a TNT into patches.

    Args:
        model: a TNT or PyramidTNT itself, or a model grown from one.

    Example:
        ```python
        scaled_images = stem(tnt).input
        ```
    """
    kinds = tuple(STEMS.values())
    (layer,) = (layer for layer in model.layers if isinstance(layer, kinds))
    return layer


def stages(model: keras.Model) -> list[PyramidStage]:
    """Return the stages of a PyramidTNT from first to last; a TNT has none.

    Args:
        model: a TNT or PyramidTNT itself, or a model grown from one.

    Example:
        ```python
        sides = [stage.output[1].shape[1] for stage in stages(pyramid_tnt)]
        ```
    """
    return [layer for layer in model.layers if isinstance(layer, PyramidStage)]


def blocks(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the blocks of a TNT from first to last; a PyramidTNT has none.

    Args:
        model: a TNT or PyramidTNT itself, or a model grown from one.

    Example:
        ```python
        for block in blocks(tnt)[:6]:
            block.trainable = False
        ```
    """
    # By name too: a model grown from a TNT may have transformer blocks of its own.
    numbered = [
        layer
        for layer in model.layers
        if isinstance(layer, (TNTBlock, TransformerBlock))
        and re.fullmatch(r"block_\d+", layer.name)
    ]
    return sorted(numbered, key=lambda layer: int(layer.name.removeprefix("block_")))


def patch_grid(model: keras.Model) -> tuple[int, int]:
    """Return ``(rows, columns)`` of the patches that a TNT cuts an image into.

    Args:
        model: a TNT or PyramidTNT itself, or a model grown from one.

    Raises:
        ValueError: if the model takes images of any size.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.structure import patch_grid
        >>> patch_grid(keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3,
        ...                          input_shape=(32, 64, 3)))
        (2, 4)
    """
    layer: Any = stem(model)
    rows, columns = layer.grid(layer.input.shape)
    if rows is None or columns is None:
        raise ValueError(
            f"Model {model.name!r} takes images of any size, so its number of patches "
            "is open. Build it with a fixed input_shape, and load the weights of this "
            "one into it."
        )
    return rows, columns


def image_size(model: keras.Model) -> tuple[int, int]:
    """Return the height and width of a TNT's images; the native ones if it takes any.

    Args:
        model: a TNT or PyramidTNT itself, or a model grown from one.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.structure.architecture import image_size
        >>> image_size(keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3,
        ...                          input_shape=(None, None, 3)))
        (224, 224)
    """
    layer: Any = stem(model)
    height, width = layer.input.shape[1:3]
    is_open = height is None or width is None
    return layer.native_image_size if is_open else (height, width)


def image_shape(model: keras.Model) -> tuple[int, int, int]:
    """Return height, width and channels of the images of a model that has a TNT.

    A size that is open is the native one of the TNT.

    Args:
        model: a functional model of one input, that is or has one TNT.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.structure.architecture import image_shape
        >>> image_shape(keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3,
        ...                           input_shape=(None, None, 3)))
        (224, 224, 3)
    """
    *size, channels = model.input_shape[1:]
    height, width = image_size(find_tnt(model)) if None in size else size
    return height, width, channels


def position_grid(model: keras.Model) -> tuple[int, int]:
    """Return ``(rows, columns)`` of the patches that a TNT's positions belong to.

    That is the patch grid, and for a model on images of any size the one of its native
    image size.

    Args:
        model: a TNT or PyramidTNT itself, or a model grown from one.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.structure import position_grid
        >>> position_grid(keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3,
        ...                             input_shape=(None, None, 3)))
        (14, 14)
    """
    layer: Any = stem(model)
    return layer.position_grid(layer.input.shape)
