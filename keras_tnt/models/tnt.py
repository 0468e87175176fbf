"""Transformer in Transformer (TNT, arXiv 2103.00112): published sizes and any other.

A model is a plain functional `keras.Model`:

    image → rescaling → pixel_embedding → patch_embedding → block_1 … block_L → norm

and a head on the class token. Blocks are counted from 1, as in the paper.
"""

from collections.abc import Iterable
from typing import Any

import keras

from keras_tnt.layers import (
    LayerNorm,
    PatchEmbedding,
    PixelEmbedding,
    TNTBlock,
    TransformerBlock,
)
from keras_tnt.layers.dropout import Dropout
from keras_tnt.models.any_size import size_options
from keras_tnt.models.builder import (
    IMAGENET_WEIGHTS,
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
from keras_tnt.models.tokens import first_token, pool_tokens
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import DType, PathLike, Shape, Tensor

FIELDS = ("outer_dim", "outer_num_heads", "inner_dim", "inner_num_heads")
# Paper, Table 1.
VARIANTS: dict[str, dict[str, int]] = {
    name: dict(zip(FIELDS, row, strict=True))
    for name, row in (
        ("tnt_tiny", (192, 3, 12, 2)),
        ("tnt_small", (384, 6, 24, 4)),
        ("tnt_base", (640, 10, 40, 4)),
    )
}

POOLINGS = (None, "token", "avg", "max")
ARGUMENTS = {
    "weights": OWN_WEIGHTS,
    "input_shape": "Height and\n    width must be multiples of ``patch_size``. "
    "``(224, 224, 3)`` by default.",
    "native_image_size": "224",
    "pooling": "``None``\n    for the feature map ``(batch, height / patch_size, width "
    '/ patch_size,\n    outer_dim)``; ``(batch, outer_dim)`` for ``"token"``, the '
    'class token, and\n    for ``"avg"`` or ``"max"`` over the patches.',
}


@common_arguments(**ARGUMENTS)
def TNT(  # noqa: D417, N802 (keras.applications' convention: builders read like classes)
    outer_dim: int = 384,
    inner_dim: int = 24,
    depth: int = 12,
    outer_num_heads: int = 6,
    inner_num_heads: int = 4,
    patch_size: int = 16,
    inner_stride: int = 4,
    inner_blocks: Iterable[int] | None = None,
    mlp_ratio: float = 4.0,
    qkv_bias: bool = False,
    se_ratio: float = 0.0,
    dropout_rate: float = 0.0,
    attention_dropout_rate: float = 0.0,
    head_dropout_rate: float = 0.0,
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
    name: str = "tnt",
    dtype: DType | None = None,
    native_image_size: int | tuple[int, int] | None = None,
    max_image_size: int | None = None,
    pad_images: bool | None = None,
) -> keras.Model:
    """Build a TNT of any size (paper, section 2).

    Args:
        outer_dim: width of a patch token, the paper's d.
        inner_dim: width of a pixel token, the paper's c.
        depth: number of blocks.
        outer_num_heads: heads of the attention over the patches.
        inner_num_heads: heads of the attention inside a patch.
        patch_size: side of a square patch, in image pixels.
        inner_stride: distance between the embedded pixels of a patch, in image
            pixels. A patch has ``ceil(patch_size / inner_stride)²`` of them.
        inner_blocks: the blocks, counted from 1, that have an inner transformer; all
            by default. The paper's Table 5 has ``(1, 4, 8, 12)``, ``(1, 6, 12)``,
            ``(1, 6)`` and ``(1,)``. The other blocks are plain transformer blocks,
            so ``()`` gives a plain vision transformer.
        mlp_ratio: width of an MLP's hidden layer as a multiple of its tokens' width.
        qkv_bias: whether query, key and value have biases.
        se_ratio: hidden share of squeeze-and-excitation after the outer MLPs;
            0 for none, 0.25 for the paper's "TNT-S + SE" (Table 12).
        dropout_rate: dropout of the first tokens, of attention outputs and of MLPs,
            0 to 1.
        attention_dropout_rate: dropout of the attention scores, 0 to 1.
        head_dropout_rate: dropout of the class token before the head, 0 to 1.
        {common_arguments}

    Returns:
        A functional `keras.Model`. With top its outputs are float32, also under
        mixed precision.

    Raises:
        ValueError: if an argument is out of range, the image size is not a multiple
            of ``patch_size``, or Keras is set to ``channels_first``.

    Example:
        >>> import keras_tnt, numpy
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> model(numpy.zeros((2, 32, 64, 3), "uint8")).shape
        TensorShape([2, 7])
    """
    check_arguments(locals(), POOLINGS, "keras_tnt.TNTSmall or keras_tnt.TNTBase")
    check_counts(depth=depth)
    check_counts(patch_size=patch_size, inner_stride=inner_stride)
    with_inner = _blocks_with_inner_transformer(inner_blocks, depth)
    images = image_input(input_tensor, input_shape, (224, 224, 3))
    sizes = size_options(images, 224, locals())
    sizes |= {"name": "pixel_embedding", "dtype": dtype}
    embedding = PixelEmbedding(inner_dim, patch_size, inner_stride, **sizes)
    grid = embedding.position_grid(images.shape)  # a check before weights are created

    x = rescale(images) if include_preprocessing else images
    pixels = embedding(x)
    any_size = embedding.native_image_size is not None
    patches = PatchEmbedding(
        outer_dim,
        dropout_rate,
        grid if any_size else None,
        patch_size,
        name="patch_embedding",
        dtype=dtype,
    )(pixels, *([x] if any_size else []))
    common: dict[str, Any] = {
        "mlp_ratio": mlp_ratio,
        "qkv_bias": qkv_bias,
        "se_ratio": se_ratio,
        "dropout_rate": dropout_rate,
        "attention_dropout_rate": attention_dropout_rate,
        "remat": remat,
        "dtype": dtype,
    }
    (rates,) = drop_path_rates(drop_path_rate, [depth])
    for block in range(1, depth + 1):
        common["name"] = f"block_{block}"
        common["drop_path_rate"] = rates[block - 1]
        if block in with_inner:
            pixels, patches = TNTBlock(outer_num_heads, inner_num_heads, **common)(
                pixels, patches
            )
        else:
            patches = TransformerBlock(outer_num_heads, **common)(patches)
    tokens = LayerNorm(name="norm", dtype=dtype)(patches)

    if include_top:
        dropout = Dropout(head_dropout_rate, name="head_dropout", dtype=dtype)
        features = dropout(first_token(tokens, dtype=dtype))
        outputs = classification_head(features, classes, classifier_activation)
    else:
        outputs = pool_tokens(tokens, pooling, x, patch_size, dtype)
    return build_model(images, outputs, name, weights)


def _blocks_with_inner_transformer(inner_blocks, depth):
    if inner_blocks is None:
        return set(range(1, depth + 1))
    inner_blocks = as_list("inner_blocks", inner_blocks)
    outside = sorted(set(inner_blocks) - set(range(1, depth + 1)))
    if outside:
        raise ValueError(
            f"inner_blocks must be numbers from 1 to depth={depth}, got {outside}."
        )
    return set(inner_blocks)


def _variant(variant, weights, options, **arguments):
    """Build a row of `VARIANTS`, whatever the model's own name is."""
    weights = published_weights(variant, weights)
    return TNT(weights=weights, **VARIANTS[variant], **arguments, **options)


@variant_docstring(
    "TNT",
    "Build TNT-Ti (paper, Table 1): 6,076,408 parameters, 1.4 GMACs at 224x224.",
    "The paper reports 73.9 % top-1 on ImageNet. No weights are published.",
    """
    >>> import keras_tnt
    >>> keras_tnt.TNTTiny().count_params()
    6076408
    """,
    **ARGUMENTS,
)
def TNTTiny(  # noqa: D103, N802
    include_top: bool = True,
    weights: PathLike | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Shape | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "tnt_tiny",
    dtype: DType | None = None,
    **options: Any,
) -> keras.Model:
    return _variant("tnt_tiny", **locals())


@variant_docstring(
    "TNT",
    "Build TNT-S (paper, Table 1): 23,768,584 parameters, 5.2 GMACs at 224x224.",
    "The published weights reach 81.5 % top-1 on ImageNet.",
    """
    ```python
    model = keras_tnt.TNTSmall(weights="imagenet")
    ```
    """,
    **(ARGUMENTS | {"weights": IMAGENET_WEIGHTS}),
)
def TNTSmall(  # noqa: D103, N802
    include_top: bool = True,
    weights: PathLike | None = "imagenet",
    input_tensor: Tensor | None = None,
    input_shape: Shape | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "tnt_small",
    dtype: DType | None = None,
    **options: Any,
) -> keras.Model:
    return _variant("tnt_small", **locals())


@variant_docstring(
    "TNT",
    "Build TNT-B (paper, Table 1): 65,428,680 parameters, 14.1 GMACs at 224x224.",
    "The published weights reach 82.9 % top-1 on ImageNet.",
    """
    ```python
    model = keras_tnt.TNTBase(weights="imagenet")
    ```
    """,
    **(ARGUMENTS | {"weights": IMAGENET_WEIGHTS}),
)
def TNTBase(  # noqa: D103, N802
    include_top: bool = True,
    weights: PathLike | None = "imagenet",
    input_tensor: Tensor | None = None,
    input_shape: Shape | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "tnt_base",
    dtype: DType | None = None,
    **options: Any,
) -> keras.Model:
    return _variant("tnt_base", **locals())
