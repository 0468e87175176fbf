"""Whether a model is a TNT, where the TNT is in it, and what it is made of."""

import re

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
        >>> from keras_tnt.structure import find_tnt
        >>> tnt = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, include_top=False,
        ...                     input_shape=(32, 64, 3), pooling="token", name="inside")
        >>> model = keras.Sequential([tnt, keras.layers.Dense(2)])
        >>> find_tnt(model).name
        'inside'
    """
    return path_to_tnt(model)[-1]


def path_to_tnt(model):
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


def stages(model):
    """Returns the stages of a PyramidTNT from first to last; a TNT has none."""
    return [layer for layer in model.layers if isinstance(layer, PyramidStage)]


def blocks(model):
    """Returns the blocks of a TNT from first to last."""
    numbered = [
        layer for layer in model.layers if re.fullmatch(r"block_\d+", layer.name)
    ]
    return sorted(numbered, key=lambda layer: int(layer.name.removeprefix("block_")))


def patch_grid(model):
    """Returns ``(rows, columns)`` of the patches that a model cuts an image into."""
    cutters = (PixelEmbedding, PyramidStem)
    (cutter,) = (layer for layer in model.layers if isinstance(layer, cutters))
    _, height, width, _ = cutter.input.shape
    return height // cutter.patch_size, width // cutter.patch_size
