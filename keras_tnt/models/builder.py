"""Parts of all builders: input, head, checks and docstring templates."""

import itertools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from keras_tnt.compat import keras_layers
from keras_tnt.layers.initializers import normal_initializer
from keras_tnt.models.any_size import ANY_SIZE_ARGUMENTS
from keras_tnt.models.functional import Functional
from keras_tnt.structure import model_to
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.counts import as_whole_number, check_counts
from keras_tnt.utils.typing import PathLike, Shape, Tensor
from keras_tnt.weights import load_weights, registry

# Texts on `weights`, of sizes without and with weights that can be downloaded.
OWN_WEIGHTS = '``None``, a path, or\n    ``"hf://owner/name"``'
IMAGENET_WEIGHTS = '``"imagenet"``, ``None``, a path, or\n    ``"hf://owner/name"``'
COMMON_ARGUMENTS = """\
include_top: whether the model ends in a classification head. Without it the
    model returns features.
weights: {weights}. `keras_tnt.load_weights` explains
    other image sizes and numbers of classes.
input_tensor: a Keras tensor ``(batch, height, width, channels)`` to use as
    the images.
input_shape: ``(height, width, channels)``; a height or width of ``None`` is
    known at run time, see ``native_image_size``. {input_shape}
pooling: what a model without top returns, after the final norm. {pooling}
classes: number of classes of the head.
classifier_activation: activation of the head; ``None`` for logits.
include_preprocessing: whether the model scales its input from 0-255 (uint8 or
    float) to ±1. Otherwise it expects scaled images.
name: name of the model.
dtype: dtype policy of all layers, or its name; the global policy by default.
    Preprocessing and head compute in float32 under every policy.
"""
# Of the builders of any size, in front of the common ones.
REGULARIZATION_ARGUMENTS = """\
drop_path_rate: stochastic depth: probability of dropping a branch in the
    last block. It grows linearly from 0 in the first block. Inner branches
    are dropped for each patch separately, outer branches for each image.
remat: whether training keeps only the blocks' inputs in memory and computes
    each block a second time for its gradient (rematerialization). The
    results are the same. For TNT-S, memory falls to less than half, time
    grows by about a quarter.
"""
VARIANT_DOCSTRING = """{summary}

{accuracy}

Args:
{arguments}
    **options: further arguments of `keras_tnt.{family}`, such as
        ``drop_path_rate``.

Returns:
    A functional `keras.Model`; see `keras_tnt.{family}`.

Raises:
    ValueError: if an argument is out of range, or the weights do not fit.
    OSError: if the weights cannot be downloaded.

Example:
{example}
"""


def common_arguments(**texts: str) -> Callable[[Callable], Callable]:
    """Return a decorator that puts the arguments of all builders into a docstring.

    Args:
        **texts: texts for the names in braces in `COMMON_ARGUMENTS`.
    """

    def decorate(function: Callable) -> Callable:
        arguments = REGULARIZATION_ARGUMENTS + COMMON_ARGUMENTS + ANY_SIZE_ARGUMENTS
        arguments = arguments.format(**texts)
        arguments = textwrap.indent(arguments, 8 * " ")
        if function.__doc__:  # python -OO removes it
            function.__doc__ = function.__doc__.replace(
                8 * " " + "{common_arguments}\n", arguments
            )
        return function

    return decorate


def variant_docstring(
    family: str, summary: str, accuracy: str, example: str, **texts: str
) -> Callable[[Callable], Callable]:
    """Return a decorator that writes the docstring of a published size.

    Args:
        family: builder of any size, ``"TNT"`` or ``"PyramidTNT"``.
        summary: the first sentence.
        accuracy: sentences on its accuracy and its weights.
        example: lines of the example.
        **texts: texts for the names in braces in `COMMON_ARGUMENTS`.
    """

    def decorate(function: Callable) -> Callable:
        arguments = COMMON_ARGUMENTS.format(**texts).rstrip()
        function.__doc__ = VARIANT_DOCSTRING.format(
            family=family,
            summary=summary,
            accuracy=textwrap.fill(accuracy, 84, break_on_hyphens=False),
            arguments=textwrap.indent(arguments, 4 * " "),
            example=textwrap.indent(textwrap.dedent(example).strip(), 4 * " "),
        )
        return function

    return decorate


def check_arguments(
    arguments: Mapping[str, Any], poolings: Sequence[str | None], published: str
) -> None:
    """Raise a `ValueError` if an argument that both families have is out of range.

    Args:
        arguments: those of the builder, by name.
        poolings: the values of `pooling`.
        published: the builders to name if ``"imagenet"`` weights are asked for.
    """
    no_imagenet_weights(arguments["weights"], published)
    check_channels_last()
    check_widths(
        arguments["outer_dim"],
        arguments["inner_dim"],
        arguments["outer_num_heads"],
        arguments["inner_num_heads"],
    )
    if arguments["include_top"]:
        check_counts(classes=arguments["classes"])
    check_pooling(arguments["pooling"], poolings)


def check_channels_last() -> None:
    """Raise a `ValueError` if Keras is set to channels-first images."""
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "keras_tnt expects channels-last images, but image_data_format is "
            f"{keras.config.image_data_format()!r}. Call "
            'keras.config.set_image_data_format("channels_last") first.'
        )


def check_widths(
    outer_dim: int, inner_dim: int, outer_num_heads: int, inner_num_heads: int
) -> None:
    """Raise a `ValueError` if heads do not divide their width, both whole numbers."""
    for side, dim, heads in (
        ("outer", outer_dim, outer_num_heads),
        ("inner", inner_dim, inner_num_heads),
    ):
        numbers = [as_whole_number(number) or 0 for number in (dim, heads)]
        if min(numbers) < 1 or dim % heads:
            raise ValueError(
                f"{side}_dim must be a positive multiple of {side}_num_heads, got "
                f"{side}_dim={dim!r} and {side}_num_heads={heads!r}."
            )


def check_pooling(pooling: str | None, poolings: Sequence[str | None]) -> None:
    """Raise a `ValueError` for an unknown pooling."""
    if pooling not in poolings:
        raise ValueError(f"pooling must be one of {poolings}, got {pooling!r}.")


def image_input(
    input_tensor: Tensor | None, input_shape: Shape | None, default_shape: Shape
) -> Tensor:
    """Return the model's input, a Keras tensor ``(batch, height, width, channels)``.

    Args:
        input_tensor: a Keras tensor to use, or ``None``.
        input_shape: shape beyond the batch, or ``None``.
        default_shape: the shape if neither is given.

    Raises:
        ValueError: if the two disagree, ``input_tensor`` is not a Keras tensor, or
            ``input_shape`` is a single number.
    """
    if input_shape is not None:
        input_shape = tuple(as_list("input_shape", input_shape))
    if input_tensor is None:
        return keras.Input(input_shape or default_shape, name="images")
    if not keras.utils.is_keras_tensor(input_tensor):
        raise ValueError(
            "input_tensor must be a Keras tensor, such as keras.Input returns, got "
            f"{type(input_tensor).__name__}. To run a model on values, call it."
        )
    shape = tuple(input_tensor.shape[1:])
    if input_shape and shape != input_shape:
        raise ValueError(
            f"input_tensor has shape {shape} beyond the batch, but input_shape is "
            f"{input_shape}. Leave out input_shape, or make them equal."
        )
    return input_tensor


def rescale(images: Tensor) -> Tensor:
    """Scale pixel values 0-255, uint8 or float, to ±1."""
    return keras.layers.Rescaling(
        1 / 127.5, offset=-1.0, name="rescaling", dtype="float32"
    )(images)


def classification_head(features: Tensor, classes: int, activation: Any) -> Tensor:
    """Return class probabilities (or logits) of feature vectors, in float32."""
    return keras_layers.Dense(
        classes,
        activation=activation,
        kernel_initializer=normal_initializer(),
        name="predictions",
        dtype="float32",
    )(features)


def build_model(
    images: Tensor,
    outputs: Tensor,
    name: str,
    weights: PathLike | None,
) -> keras.Model:
    """Return the model from the inputs behind ``images``, with its weights loaded."""
    graph = model_to(images, outputs, name)
    model = Functional(graph.input, graph.output, name=name)
    if weights is not None:
        load_weights(model, weights)
    return model


def drop_path_rates(last: float, depths: Sequence[int]) -> list[list[float]]:
    """Return the rates of each stage's blocks, growing linearly over all blocks.

    Args:
        last: rate of the last block.
        depths: number of blocks of each stage.
    """
    steps = max(sum(depths) - 1, 1)
    rates = iter([last * block / steps for block in range(sum(depths))])
    return [list(itertools.islice(rates, depth)) for depth in depths]


def no_imagenet_weights(weights: PathLike | None, published: str) -> None:
    """Raise a `ValueError` if ``"imagenet"`` is asked of a builder of any size."""
    if isinstance(weights, str) and weights == "imagenet":
        raise ValueError(
            f'weights="imagenet" needs a published size: use {published}. Here, pass '
            "weights=None, a path, or hf://owner/name."
        )


def published_weights(variant: str, weights: PathLike | None) -> PathLike | None:
    """Return the source of a variant's weights; ``"imagenet"`` becomes a hub id."""
    if isinstance(weights, str) and weights == "imagenet":
        return f"hf://{registry.published(variant).repo_id}"
    return weights
