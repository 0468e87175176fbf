"""Counts parameters and multiply-adds of a TNT or PyramidTNT, part by part."""

import math
from collections.abc import Iterator
from typing import Any

import keras

from keras_tnt.layers import (
    PatchEmbedding,
    PatchMerging,
    PixelEmbedding,
    PixelMerging,
    PyramidStage,
    PyramidStem,
    PyramidTNTBlock,
    TNTBlock,
    TransformerBlock,
)
from keras_tnt.structure.architecture import find_tnt, patch_grid, stem
from keras_tnt.structure.cost import NOTHING, Complexity, Cost
from keras_tnt.structure.head import has_graph

MOVING_STATISTICS = ("moving_mean", "moving_variance")
NORMS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
)


def complexity(model: keras.Model) -> Complexity:
    """Count the parameters and multiply-adds of a model (paper, equations 14 to 18).

    A transformer over ``n`` tokens of width ``d`` with MLPs of ratio 4 has
    ``2nd(6d + n)`` multiply-adds. A TNT block has ``2nmc(6c + m)`` in the inner
    transformers, ``nmcd`` in the pixel projection and ``2nd(6d + n)`` in the outer
    transformer, where the class token is one of the ``n`` tokens. Norms, activations,
    pooling and additions are not counted. Each layer counts once.

    Args:
        model: a TNT or PyramidTNT, a model extended from one, or one with it as a
            layer, at any depth. Its other layers that have weights may be Dense,
            Conv2D and norms.

    Returns:
        A `Complexity`: costs by part, their sums, and a table by `str`.

    Raises:
        ValueError: if ``model`` has no TNT or more than one, takes images of any size,
            or has another layer with weights whose multiply-adds are not known.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> found = keras_tnt.complexity(model)
        >>> found.multiply_adds, found.inner.multiply_adds
        (1501200, 540672)
        >>> print(found)
        tnt, one image of 32x64x3
        part           parameters      multiply-adds  share
        embedding          12,192            299,520  20.0%
        inner               3,696            540,672  36.0%
        projection         19,392            147,456   9.8%
        outer              56,256            513,216  34.2%
        head                  439                336   0.0%
        total              91,975          1,501,200 100.0%
    """
    totals: dict[str, Cost] = {}
    patch_grid(find_tnt(model))  # which must not be open
    image_shape = tuple(stem(find_tnt(model)).input.shape[1:])
    for layer in _layers(model):
        for part, cost in _costs(layer):
            sums = map(sum, zip(totals.get(part, NOTHING), cost, strict=True))
            totals[part] = Cost(*sums)
    return Complexity(model.name, image_shape, **totals)


def _layers(model: keras.Model) -> Iterator[Any]:
    """Yield the layers of a model and of the models among them."""
    if not has_graph(model):
        raise ValueError(
            f"Model {model.name!r} is not functional, or not built, so the sizes of "
            "its layers are not known. Pass the TNT alone: "
            "keras_tnt.structure.find_tnt(model)."
        )
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _costs(layer: Any) -> Iterator[tuple[str, Cost]]:
    """Yield parts and costs of a layer."""
    if isinstance(layer, PixelEmbedding):
        _, patches, pixels, _ = layer.output.shape
        products = _convolution(layer.projection, patches * pixels)
        yield "embedding", Cost(_parameters(layer), products)
    elif isinstance(layer, PatchEmbedding):
        inputs, *_ = keras.tree.flatten(layer.input)
        _, patches, pixels, inner_dim = inputs.shape
        products = patches * pixels * inner_dim * layer.dim
        yield "embedding", Cost(_parameters(layer), products)
    elif isinstance(layer, PyramidStem):
        yield "embedding", Cost(_parameters(layer), _stem(layer))
    elif isinstance(layer, TNTBlock):
        pixels, patches = layer.input
        _, tokens, dim = patches.shape
        yield from _with_inner(layer, pixels.shape[1:], dim)
        yield "outer", _transformer(layer.outer, 1, tokens, dim)
    elif isinstance(layer, TransformerBlock):
        yield "outer", _transformer(layer, 1, *layer.input.shape[1:])
    elif isinstance(layer, PyramidStage):
        yield from _stage(layer)
    elif isinstance(layer, (PixelMerging, PatchMerging)):
        positions = math.prod(layer.output.shape[1:-1])
        products = _convolution(layer.convolution, positions)
        yield "merging", Cost(_parameters(layer), products)
    elif layer.weights:
        yield "head", Cost(_parameters(layer), _other(layer))


def _with_inner(block, pixels_shape, outer_dim):
    """Yield inner transformer and pixel projection of a block."""
    patches, pixels, dim = pixels_shape
    inner = _transformer(block.inner, patches, pixels, dim)
    yield "inner", inner
    projection = _parameters(block) - inner.parameters - _parameters(block.outer)
    yield "projection", Cost(projection, patches * pixels * dim * outer_dim)


def _stage(stage):
    """Yield the parts of all blocks of a PyramidTNT's stage."""
    pixels, patches = stage.input
    _, rows, columns, dim = patches.shape
    *_, per_patch, inner_dim = pixels.shape
    keys = (rows // stage.sr_ratio) * (columns // stage.sr_ratio)
    for block in stage.blocks:
        outer = block
        if isinstance(block, PyramidTNTBlock):
            outer = block.outer
            yield from _with_inner(block, (rows * columns, per_patch, inner_dim), dim)
        yield "outer", _transformer(outer, 1, rows * columns, dim, keys)
    yield "outer", Cost(math.prod(stage.position_bias.shape), 0)


def _transformer(block, sequences, tokens, dim, keys=None):
    """Return the cost of a transformer block; ``2nd(6d + n)`` for MLPs of ratio 4."""
    keys = tokens if keys is None else keys
    hidden = block.feed_forward.intermediate_dense.units
    products = tokens * 2 * dim * dim  # query and output projection
    products += keys * 2 * dim * dim  # key and value
    products += 2 * tokens * keys * dim  # scores and weighted values
    products += tokens * 2 * dim * hidden
    if hasattr(block.attention, "reduction_dense"):
        products += keys * dim * dim
    if getattr(block, "squeeze_excitation", None):
        products += 2 * dim * block.squeeze_excitation.reduce_dense.units
    return Cost(_parameters(block), sequences * products)


def _stem(layer):
    """Return the multiply-adds of a PyramidTNT's convolutions."""
    _, height, width, _ = layer.input.shape
    common, pixel = layer.common_steps[0], layer.pixel_steps[0]
    positions = height // 2 * (width // 2)
    products = _convolution(common, positions) + _convolution(pixel, positions)
    for convolution in layer.patch_steps[::2]:
        positions //= math.prod(convolution.strides)
        products += _convolution(convolution, positions)
    return products


def _convolution(layer, positions):
    return positions * math.prod(layer.kernel.shape)


def _other(layer):
    """Return the multiply-adds of a layer that is not the TNT's."""
    if isinstance(layer, NORMS):
        return 0
    shape = layer.output.shape[1:]
    if isinstance(layer, keras.layers.Dense) and None not in shape:
        return math.prod(shape) * layer.input.shape[-1]
    if isinstance(layer, keras.layers.Conv2D) and None not in shape:
        return _convolution(layer, math.prod(shape) // layer.filters)
    raise ValueError(
        f"The multiply-adds of layer {layer.name!r}, a {type(layer).__name__}, are not "
        "known. Expected Dense and Conv2D of a static size, and norms, beside the TNT. "
        "Pass the TNT alone: keras_tnt.structure.find_tnt(model)."
    )


def _parameters(layer):
    return sum(
        math.prod(weight.shape)
        for weight in layer.weights
        if weight.name not in MOVING_STATISTICS
    )
