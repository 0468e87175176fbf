"""PyramidTNT (arXiv 2201.00978): published sizes and any other.

A model is a plain functional `keras.Model`:

    image → rescaling → stem → stage_1 → merging → stage_2 → … → stage_4 → norm

and a head on the mean patch. The stages see the image at strides 8, 16, 32 and 64;
pixels and patches are both merged in between.
"""

from collections.abc import Sequence
from typing import Any

import keras

from keras_tnt.layers import (
    LayerNorm,
    PatchMerging,
    PixelMerging,
    PyramidStage,
    PyramidStem,
)
from keras_tnt.models.any_size import size_options
from keras_tnt.models.builder import (
    OWN_WEIGHTS,
    build_model,
    check_arguments,
    classification_head,
    common_arguments,
    drop_path_rates,
    image_input,
    published_weights,
    rescale,
    variant_docstring,
)
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.counts import as_whole_number
from keras_tnt.utils.typing import DType, PathLike, Shape, Tensor

FIELDS = ("outer_dim", "inner_dim", "depths", "outer_num_heads", "inner_num_heads")
# The paper's Table 1; widths and heads are the first stage's.
VARIANTS: dict[str, dict[str, Any]] = {
    name: dict(zip(FIELDS, row, strict=True))
    for name, row in (
        ("pyramid_tnt_tiny", (80, 5, (2, 6, 3, 2), 2, 1)),
        ("pyramid_tnt_small", (128, 8, (2, 8, 4, 2), 4, 2)),
        ("pyramid_tnt_medium", (192, 12, (2, 8, 6, 2), 4, 2)),
        ("pyramid_tnt_base", (256, 16, (2, 10, 6, 2), 4, 2)),
    )
}
IMAGE_SIZES = dict.fromkeys(VARIANTS, 256) | {"pyramid_tnt_tiny": 192}  # published

# Stage by stage: widths and heads as multiples of the first stage's, and the side of
# the squares over which the outer attention pools keys and values.
MULTIPLES = (1, 2, 4, 4)
SR_RATIOS = (4, 2, 1, 1)

POOLINGS = (None, "avg", "max")
SHAPE = "Height and\n    width must be multiples of 8 and at least 32. {} by default."
EXAMPLE = """
    ```python
    model = keras_tnt.PyramidTNTSmall(weights="pyramid_tnt_s.pth.tar")
    ```
"""
TINY_EXAMPLE = """
    >>> import keras_tnt
    >>> keras_tnt.PyramidTNTTiny(include_top=False).output_shape
    (None, 3, 3, 320)
"""
POOLED = (
    "``None``\n    for the last stage's map ``(batch, height / 64, width / 64, "
    '4 · outer_dim)``,\n    rounded up; ``"avg"`` or ``"max"`` over that map, '
    "``(batch, 4 · outer_dim)``."
)


@common_arguments(
    weights=OWN_WEIGHTS,
    input_shape=SHAPE.format("``(256, 256, 3)``"),
    pooling=POOLED,
    native_image_size="256",
)
def PyramidTNT(  # noqa: D417, N802 (keras.applications' convention)
    outer_dim: int = 128,
    inner_dim: int = 8,
    depths: Sequence[int] = (2, 8, 4, 2),
    outer_num_heads: int = 4,
    inner_num_heads: int = 2,
    mlp_ratio: float = 4.0,
    qkv_bias: bool = False,
    se_ratio: float = 0.0,
    dropout_rate: float = 0.0,
    attention_dropout_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    remat: bool = False,
    include_top: bool = True,
    weights: PathLike | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Shape | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "pyramid_tnt",
    dtype: DType | None = None,
    native_image_size: int | tuple[int, int] | None = None,
    max_image_size: int | None = None,
    pad_images: bool | None = None,
) -> keras.Model:
    """Build a PyramidTNT of any size (arXiv 2201.00978, section 2).

    A convolutional stem precedes four stages of growing width and shrinking map.
    Widths and heads are given for the first stage; the others have 2, 4 and 4 times
    as many.

    Args:
        outer_dim: width of a patch in the first stage.
        inner_dim: width of a pixel in the first stage.
        depths: number of blocks of each of the four stages.
        outer_num_heads: heads of the attention over the patches in the first stage.
        inner_num_heads: heads of the attention inside a patch in the first stage.
        mlp_ratio: width of an MLP's hidden layer as a multiple of its tokens' width.
        qkv_bias: whether query, key and value have biases.
        se_ratio: hidden share of squeeze-and-excitation after the outer MLPs; 0 for
            none, 0.25 in the official code.
        dropout_rate: dropout of the patches' positions (one mask for a batch), of
            attention outputs and of MLPs, 0 to 1.
        attention_dropout_rate: dropout of the attention scores, 0 to 1.
        {common_arguments}

    Returns:
        A functional `keras.Model`. With top its outputs are float32, also under
        mixed precision. Its layers ``stage_1`` to ``stage_4`` each return pixels
        and patches; the patches are a map ``(batch, rows, columns, dim)``.

    Raises:
        ValueError: if an argument is out of range, the image size does not fit, or
            Keras is set to ``channels_first``.

    Example:
        >>> import keras_tnt, numpy
        >>> model = keras_tnt.PyramidTNT(16, 4, (1, 1, 1, 1), 2, 1, classes=7,
        ...                              input_shape=(32, 64, 3))
        >>> model(numpy.zeros((2, 32, 64, 3), "uint8")).shape
        TensorShape([2, 7])
        >>> model.get_layer("stage_1").output[1].shape
        (None, 4, 8, 16)
    """
    check_arguments(locals(), POOLINGS, "one such as keras_tnt.PyramidTNTSmall")
    depths = tuple(as_list("depths", depths))
    numbers = [as_whole_number(depth) or 0 for depth in depths]
    if len(numbers) != len(MULTIPLES) or min(numbers) < 1:
        raise ValueError(f"depths must be 4 numbers of at least 1, got {depths}.")
    images = image_input(input_tensor, input_shape, (256, 256, 3))
    sizes = size_options(images, 256, locals())
    stem = PyramidStem(
        outer_dim, inner_dim, dropout_rate, name="stem", dtype=dtype, **sizes
    )
    grid: Any = stem.position_grid(images.shape)  # a check before weights are created
    if min(grid) < SR_RATIOS[0]:
        raise ValueError(f"Resize images to at least 32x32, got {images.shape[1:3]}.")

    x = rescale(images) if include_preprocessing else images
    pixels, patches = stem(x)
    rates = drop_path_rates(drop_path_rate, depths)
    for index, multiple in enumerate(MULTIPLES):
        stage = index + 1
        if index > 0:
            pixels = PixelMerging(
                multiple * inner_dim, name=f"pixel_merging_{stage}", dtype=dtype
            )(pixels)
            patches = PatchMerging(
                multiple * outer_dim, name=f"patch_merging_{stage}", dtype=dtype
            )(patches)
        pixels, patches = PyramidStage(
            depths[index],
            multiple * outer_num_heads,
            multiple * inner_num_heads,
            SR_RATIOS[index],
            mlp_ratio,
            rates[index],
            remat,
            qkv_bias,
            se_ratio,
            dropout_rate,
            attention_dropout_rate,
            grid if sizes else None,
            name=f"stage_{stage}",
            dtype=dtype,
        )(pixels, patches)
        grid = tuple(-(-side // 2) for side in grid)
    outputs = LayerNorm(name="norm", dtype=dtype)(patches)
    layers = keras.layers
    if include_top or pooling == "avg":
        outputs = layers.GlobalAveragePooling2D(name="avg_pool", dtype=dtype)(outputs)
    elif pooling == "max":
        outputs = layers.GlobalMaxPooling2D(name="max_pool", dtype=dtype)(outputs)
    if include_top:
        outputs = classification_head(outputs, classes, classifier_activation)
    return build_model(images, outputs, name, weights)


def _variant(variant, weights, input_tensor, input_shape, options, **arguments):
    """Build a row of `VARIANTS`, whatever the model's own name is."""
    size = IMAGE_SIZES[variant]
    images = image_input(input_tensor, input_shape, (size, size, 3))
    if None in images.shape[1:3]:
        options = {"native_image_size": size} | options
    return PyramidTNT(
        weights=published_weights(variant, weights),
        input_tensor=images,
        **VARIANTS[variant],
        **arguments,
        **options,
    )


def _docstring(size, parameters, flops, side, top_1, example=EXAMPLE):
    return variant_docstring(
        "PyramidTNT",
        f"Build PyramidTNT-{size}: {parameters} parameters, {flops} GFLOPs at "
        f"{side}x{side}.",
        f"The published weights reach {top_1} % top-1 on ImageNet. Their only source "
        "is a file-sharing site, from which no program can download them: pass the "
        'path of the file. ``weights="imagenet"`` raises an error that says where it '
        "is.",
        example,
        weights=OWN_WEIGHTS,
        input_shape=SHAPE.format(f"``({side}, {side}, 3)``"),
        pooling=POOLED,
    )


@_docstring("Ti", "10,578,529", 0.6, 192, 75.2, TINY_EXAMPLE)
def PyramidTNTTiny(  # noqa: D103, N802
    include_top: bool = True,
    weights: PathLike | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Shape | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "pyramid_tnt_tiny",
    dtype: DType | None = None,
    **options: Any,
) -> keras.Model:
    return _variant("pyramid_tnt_tiny", **locals())


@_docstring("S", "31,953,200", 3.3, 256, 82.0)
def PyramidTNTSmall(  # noqa: D103, N802
    include_top: bool = True,
    weights: PathLike | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Shape | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "pyramid_tnt_small",
    dtype: DType | None = None,
    **options: Any,
) -> keras.Model:
    return _variant("pyramid_tnt_small", **locals())


@_docstring("M", "84,943,572", 8.2, 256, 83.5)
def PyramidTNTMedium(  # noqa: D103, N802
    include_top: bool = True,
    weights: PathLike | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Shape | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "pyramid_tnt_medium",
    dtype: DType | None = None,
    **options: Any,
) -> keras.Model:
    return _variant("pyramid_tnt_medium", **locals())


@_docstring("B", "156,990,072", 16.0, 256, 84.1)
def PyramidTNTBase(  # noqa: D103, N802
    include_top: bool = True,
    weights: PathLike | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Shape | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "pyramid_tnt_base",
    dtype: DType | None = None,
    **options: Any,
) -> keras.Model:
    return _variant("pyramid_tnt_base", **locals())
