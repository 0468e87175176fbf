"""Feature maps of a TNT or PyramidTNT at four strides, for the heads of dense tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras

from keras_tnt import structure
from keras_tnt.layers import LayerNorm, TNTBlock, gelu
from keras_tnt.layers.pixel_map import PixelMap
from keras_tnt.layers.resize_like import ResizeLike
from keras_tnt.models.features import feature_extractor
from keras_tnt.structure import extend_from_input, find_tnt, model_to
from keras_tnt.utils.typing import Tensor

LEVELS = 4
PIXELS = "pixel_map"


class FeaturePyramid(NamedTuple):
    """Keras tensors of a backbone's maps.

    Attributes:
        images: the model's input.
        levels: four maps ``(batch, rows, columns, dim)``, from fine to coarse, each of
            about half the size of the one before.
        last: the map of the last block or stage, after a norm.
    """

    images: Tensor
    levels: list[Tensor]
    last: Tensor


def feature_pyramid(
    backbone: keras.Model, blocks: int | Sequence[int] | None, dim: int
) -> FeaturePyramid:
    """Return maps of a backbone at four strides.

    The stages of a PyramidTNT have them. The blocks of a TNT all have the stride of its
    patches: the first map is enlarged four times and the second twice by transposed
    convolutions, the fourth is halved by max pooling, as in BEiT (arXiv 2106.08254).
    The finest level also has the pixels of the first of the blocks, the inner tokens,
    whose stride is 4 in the published models.

    Args:
        backbone: a TNT or PyramidTNT, or a functional model of one input with one among
            its layers.
        blocks: the blocks of a TNT to take maps of, as in
            `keras_tnt.feature_extractor`; by default those after every quarter of the
            blocks, 3, 6, 9 and 12 of twelve. With fewer than four, several levels are
            made of one map. A PyramidTNT has all four stages.
        dim: width of the enlarged maps.

    Raises:
        ValueError: if the backbone has no TNT or several inputs, or there are no such
            blocks.
    """
    tnt = find_tnt(backbone)
    policy = structure.stem(tnt).dtype_policy
    if structure.stages(tnt):
        if blocks is not None:
            raise ValueError(
                f"{tnt.name!r} is a PyramidTNT, whose four stages are all used. Leave "
                f"out blocks, got {blocks!r}."
            )
        features = feature_extractor(backbone)
    else:
        if blocks is None:
            blocks = _quarters(len(structure.blocks(tnt)))
        features = _block_features(backbone, tnt, blocks)
    if len(features.inputs) != 1:
        raise ValueError(
            f"Expected a backbone of one input, the images; {backbone.name!r} has "
            f"{len(features.inputs)}."
        )
    maps = dict(features.output)
    pixels = maps.pop(PIXELS, None)
    normed = [
        LayerNorm(name=f"{name}_norm", dtype=policy)(value)
        for name, value in maps.items()
    ]
    if structure.stages(tnt):
        levels = normed
    else:
        chosen = [normed[number - 1] for number in _quarters(len(normed))]
        levels = _at_four_strides(chosen, pixels, dim, policy)
    return FeaturePyramid(features.inputs[0], levels, normed[-1])


def _quarters(count):
    """The numbers, from 1, after every quarter of so many."""
    return [-(-count * quarter // LEVELS) for quarter in range(1, LEVELS + 1)]


def _block_features(backbone, tnt, numbers):
    """The maps of a TNT's blocks and, as the last one, its pixels, if it has any."""
    features = feature_extractor(tnt, numbers)
    outputs = dict(features.output)
    first = min(int(name.removeprefix("block_")) for name in outputs)
    inner = [b for b in structure.blocks(tnt)[:first] if isinstance(b, TNTBlock)]
    if inner:
        pixels, _ = inner[-1].output
        layer = PixelMap(name=PIXELS, dtype=inner[-1].dtype_policy)
        outputs[PIXELS] = layer(pixels, outputs[next(iter(outputs))])
    images = structure.stem(tnt).input
    return extend_from_input(backbone, model_to(images, outputs, "features"))


def _at_four_strides(maps, pixels, dim, policy):
    """A quarter, half, all and double of the stride of the patches."""
    finest, fine, same, coarse = maps
    finest = _enlarge(
        _enlarge(finest, dim, "level_1_up_1", policy), dim, "level_1_up_2", policy
    )
    if pixels is not None:
        pixels = LayerNorm(name="pixel_map_norm", dtype=policy)(pixels)
        pixels = ResizeLike(name="pixel_map_resize", dtype=policy)(pixels, finest)
        finest = keras.layers.Concatenate(name="level_1", dtype=policy)(
            [finest, pixels]
        )
    return [
        finest,
        _enlarge(fine, dim, "level_2_up", policy),
        same,
        keras.layers.MaxPooling2D(2, padding="same", name="level_4", dtype=policy)(
            coarse
        ),
    ]


def _enlarge(maps, dim, name, policy):
    layers = keras.layers
    x = layers.Conv2DTranspose(dim, 2, strides=2, name=name, dtype=policy)(maps)
    x = LayerNorm(name=f"{name}_norm", dtype=policy)(x)
    return layers.Activation(gelu, name=f"{name}_gelu", dtype=policy)(x)
