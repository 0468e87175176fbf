"""Feature maps of a TNT's blocks, for detection, segmentation and other dense tasks."""

from collections.abc import Iterable, Sequence

import keras

from keras_tnt import structure
from keras_tnt.models.tokens import first_token, patch_map
from keras_tnt.structure import (
    extend_from_input,
    find_tnt,
    model_to,
    stages,
    stem,
)
from keras_tnt.utils.counts import as_whole_number

BLOCKS = (3, 6, 9, 12)


def feature_extractor(
    model: keras.Model,
    blocks: int | Sequence[int] | None = None,
    class_token: bool = False,
    final_norm: bool = False,
) -> keras.Model:
    """Return a model from images to the feature maps of some of a TNT's blocks.

    The result is a plain functional `keras.Model` that can be called, saved, exported
    and extended from its ``output``. It shares layers and weights with ``model``, and
    does not compute the blocks after the last one requested.

    All maps of a TNT have one size, its patch grid, and one width. The stages of a
    PyramidTNT have strides 8, 16, 32 and 64.

    Args:
        model: a TNT or PyramidTNT, a model grown from one, or a functional model with
            one among its layers, at any depth. The layers before the TNT are kept, and
            so is the model's input.
        blocks: the blocks whose maps to return, counted from 1, in this order; the
            stages, 1 to 4, of a PyramidTNT. Negative numbers count from the last, -1.
            A single number n stands for the last n, as in timm. The default is blocks
            3, 6, 9 and 12, which the paper gives to Faster R-CNN (Table 13), or all
            four stages.
        class_token: whether to return the class token of each block too. A PyramidTNT
            has none.
        final_norm: whether to apply the model's last norm to maps and class tokens. Of
            a PyramidTNT it applies to stage 4 only, on which it was trained.

    Returns:
        A functional `keras.Model` from images to a dict, in the model's compute dtype.
        Of a TNT its entries are ``"block_3"`` and so on, of shape ``(batch, height /
        patch_size, width / patch_size, outer_dim)``, and with ``class_token``
        ``"block_3_class_token"``, ``(batch, outer_dim)``. Of a PyramidTNT they are
        ``"stage_1"`` and so on.

    Raises:
        ValueError: if the model has no TNT, or more than one, or its input does not
            lead to it; if there is no such block, or no class token.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=4, outer_num_heads=3,
        ...                       input_shape=(32, 64, 3))
        >>> features = keras_tnt.feature_extractor(model, blocks=(2, 4))
        >>> {name: tensor.shape for name, tensor in features.output.items()}
        {'block_2': (None, 2, 4, 48), 'block_4': (None, 2, 4, 48)}
    """
    tnt = find_tnt(model)
    layers = _select(tnt, blocks)
    if not stages(tnt):
        outputs = _tnt_features(tnt, layers, class_token, final_norm)
    elif class_token:
        raise ValueError(
            f"{tnt.name!r} is a PyramidTNT, which has no class token. Leave out "
            "class_token; the model classifies by the mean of its last map."
        )
    else:
        outputs = _pyramid_features(tnt, layers, final_norm)
    return extend_from_input(model, model_to(stem(tnt).input, outputs, "features"))


def _select(tnt, numbers):
    """The blocks or stages of these numbers."""
    kind = "stage" if stages(tnt) else "block"
    found = stages(tnt) or structure.blocks(tnt)
    default = BLOCKS if kind == "block" else range(1, len(found) + 1)
    numbers = default if numbers is None else numbers
    try:
        indices = _indices(numbers, len(found))
    except TypeError:  # not whole numbers
        indices = []
    if not indices:
        raise ValueError(
            f"Expected blocks to be numbers of {tnt.name!r}'s {kind}s, 1 to "
            f"{len(found)} or -{len(found)} to -1, or how many of the last {kind}s, 1 "
            f"to {len(found)}; got blocks={numbers!r}."
        )
    return [found[index] for index in indices]


def _indices(numbers, count):
    """Return the indices from 0, none at all if a number is out of range."""
    if not isinstance(numbers, Iterable):
        last = as_whole_number(numbers) or 0
        return range(count - last, count) if 0 < last <= count else []
    numbers = [as_whole_number(number) or 0 for number in numbers]
    if any(not 1 <= abs(number) <= count for number in numbers):
        return []
    return [number - 1 if number > 0 else count + number for number in numbers]


def _tnt_features(tnt, blocks, class_token, final_norm):
    first = stem(tnt)
    outputs = {}
    for block in blocks:
        name = block.name
        tokens = keras.tree.flatten(block.output)[-1]  # after the pixels, if any
        if final_norm:
            tokens = tnt.get_layer("norm")(tokens)
        patches = keras.layers.Cropping1D((1, 0), name=f"{name}_patches")(tokens)
        outputs[name] = patch_map(patches, first.input, first.patch_size, f"{name}_map")
        if class_token:
            outputs[f"{name}_class_token"] = first_token(tokens, f"{name}_")
    return outputs


def _pyramid_features(tnt, chosen, final_norm):
    outputs = {stage.name: stage.output[1] for stage in chosen}
    if final_norm and "stage_4" in outputs:
        outputs["stage_4"] = tnt.get_layer("norm")(outputs["stage_4"])
    return outputs
