"""Feature maps of a TNT's blocks, for segmentation, detection and other dense tasks."""

from collections.abc import Sequence

import keras

from keras_tnt.structure import (
    extend_from_input,
    find_tnt,
    model_to,
    patch_grid,
    stages,
)

BLOCKS = (3, 6, 9, 12)  # what the paper gives Faster R-CNN


def feature_extractor(
    model: keras.Model,
    blocks: Sequence[int] | None = None,
    class_token: bool = False,
    final_norm: bool = False,
) -> keras.Model:
    """Makes a model from images to the feature maps of some of a TNT's blocks.

    Layers and weights are shared with ``model``, blocks after the last one wanted are
    not computed, and the result is a plain functional `keras.Model`: to be called,
    saved and exported, or for a head of its own on ``output``.

    Of a TNT all maps have the same size, an image's patches, and the same width. Of a
    PyramidTNT the stages give maps of strides 8, 16, 32 and 64.

    Args:
        model: a TNT or PyramidTNT of any depth, a model grown from one, or a
            functional model with one among its layers, at any depth. Such a model's
            own input is kept, with what it does before the TNT.
        blocks: the blocks, counted from 1, whose maps are wanted, in the order of the
            result; of a PyramidTNT its stages, 1 to 4. By default blocks 3, 6, 9 and
            12, and all four stages.
        class_token: whether to give each block's class token as well. A PyramidTNT has
            none.
        final_norm: whether the model's last normalisation is applied to the maps (and
            class tokens); of a PyramidTNT only to stage 4, which alone it was
            trained on.

    Returns:
        A functional `keras.Model` from images to a dict: ``"block_3"`` and so on,
        ``(batch, height / patch_size, width / patch_size, outer_dim)``, and with
        ``class_token`` ``"block_3_class_token"``, ``(batch, outer_dim)``; of a
        PyramidTNT ``"stage_1"`` and so on. In the dtype that the model computes in.

    Raises:
        ValueError: if there is no TNT, or more than one, or it cannot be reached from
            the model's input; if it does not have these blocks, or no class token.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=4, outer_num_heads=3,
        ...                       input_shape=(32, 64, 3))
        >>> features = keras_tnt.feature_extractor(model, blocks=(2, 4))
        >>> {name: tensor.shape for name, tensor in features.output.items()}
        {'block_2': (None, 2, 4, 48), 'block_4': (None, 2, 4, 48)}
    """
    tnt = find_tnt(model)
    layers = _chosen(tnt, blocks)
    if not stages(tnt):
        outputs = _tnt_features(tnt, layers, class_token, final_norm)
    elif class_token:
        raise ValueError(
            f"{tnt.name!r} is a PyramidTNT, which has no class token: leave "
            "class_token out. The mean over the last map is what it classifies by."
        )
    else:
        outputs = _pyramid_features(tnt, layers, final_norm)
    return extend_from_input(model, model_to(outputs, "features"))


def _chosen(tnt, blocks):
    """The blocks or stages of these numbers."""
    kind = "stage" if stages(tnt) else "block"
    found = dict(enumerate(stages(tnt) or blocks(tnt), start=1))
    default = BLOCKS if kind == "block" else tuple(found)
    blocks = default if blocks is None else tuple(blocks)
    if not blocks or not set(blocks) <= set(found):
        raise ValueError(
            f"{tnt.name!r} has the {kind}s {', '.join(map(str, found))}, and "
            f"blocks={blocks} was asked for. Choose among those."
        )
    return [found[number] for number in blocks]


def _tnt_features(tnt, blocks, class_token, final_norm):
    height, width = patch_grid(tnt)
    outputs = {}
    for block in blocks:
        name = block.name
        tokens = keras.tree.flatten(block.output)[-1]  # after the pixels, if any
        if final_norm:
            tokens = tnt.get_layer("norm")(tokens)
        patches = keras.layers.Cropping1D((1, 0), name=f"{name}_patches")(tokens)
        shape = (height, width, tokens.shape[-1])
        outputs[name] = keras.layers.Reshape(shape, name=f"{name}_map")(patches)
        if class_token:
            crop = keras.layers.Cropping1D((0, height * width), name=f"{name}_first")
            flatten = keras.layers.Flatten(name=f"{name}_class_token")
            outputs[f"{name}_class_token"] = flatten(crop(tokens))
    return outputs


def _pyramid_features(tnt, stages, final_norm):
    outputs = {stage.name: stage.output[1] for stage in stages}
    if final_norm and "stage_4" in outputs:
        outputs["stage_4"] = tnt.get_layer("norm")(outputs["stage_4"])
    return outputs
