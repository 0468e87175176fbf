"""Transformer in Transformer (TNT, arXiv 2103.00112): published sizes and any other.

A model is a plain functional `keras.Model`:

    image → rescaling → pixel_embedding → patch_embedding → block_1 … block_L → norm

and a head on the class token. Blocks are counted from 1, as in the paper.
"""

import keras

from keras_tnt.layers import (
    LayerNorm,
    PatchEmbedding,
    PixelEmbedding,
    TNTBlock,
    TransformerBlock,
)
from keras_tnt.models.builder import (
    build_model,
    check_channels_last,
    check_pooling,
    check_widths,
    classification_head,
    image_input,
    rescale,
)
from keras_tnt.weights import registry

# Paper, Table 2; the widths and heads of TNT-Ti, TNT-S and TNT-B.
VARIANTS = {
    "tnt_tiny": {
        "outer_dim": 192,
        "outer_num_heads": 3,
        "inner_dim": 12,
        "inner_num_heads": 2,
    },
    "tnt_small": {
        "outer_dim": 384,
        "outer_num_heads": 6,
        "inner_dim": 24,
        "inner_num_heads": 4,
    },
    "tnt_base": {
        "outer_dim": 640,
        "outer_num_heads": 10,
        "inner_dim": 40,
        "inner_num_heads": 4,
    },
}

POOLINGS = (None, "token", "avg", "max")


def TNT(  # noqa: N802 (keras.applications' convention: a builder reads like a class)
    outer_dim=384,
    inner_dim=24,
    depth=12,
    outer_num_heads=6,
    inner_num_heads=4,
    patch_size=16,
    inner_stride=4,
    inner_blocks=None,
    mlp_ratio=4.0,
    qkv_bias=False,
    se_ratio=0.0,
    dropout_rate=0.0,
    drop_path_rate=0.0,
    remat=False,
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    include_preprocessing=True,
    name="tnt",
):
    """Builds a TNT of any size (paper, section 2).

    Args:
        outer_dim: width of a patch token, the paper's d.
        inner_dim: width of a pixel, the paper's c.
        depth: number of blocks.
        outer_num_heads: heads of the attention over the patches.
        inner_num_heads: heads of the attention inside a patch.
        patch_size: side of a square patch, in image pixels.
        inner_stride: distance between the embedded pixels of a patch, in image
            pixels; a patch has ``ceil(patch_size / inner_stride)²`` of them.
        inner_blocks: the blocks, counted from 1, that have an inner transformer; all
            by default. The paper's Table 5 has ``(1, 4, 8, 12)``, ``(1, 6, 12)``,
            ``(1, 6)`` and ``(1,)``. The other blocks are plain transformer blocks,
            so that ``()`` gives a plain vision transformer.
        mlp_ratio: width of a perceptron's hidden layer as a multiple of its tokens'.
        qkv_bias: whether query, key and value have biases.
        se_ratio: hidden share of squeeze-and-excitation after the outer perceptrons;
            0 for none, 0.25 for the paper's "TNT-S + SE".
        dropout_rate: dropout of the first tokens, of attention outputs, of
            perceptrons and before the head, 0 to 1.
        drop_path_rate: stochastic depth: probability of leaving out a branch in the
            last block, growing linearly from 0 in the first. Inner branches are left
            out for each patch by itself, outer ones for each image.
        remat: whether training keeps only the blocks' inputs in memory and computes
            each block a second time for its gradient (rematerialization): the same
            results from less than half the memory, in about a quarter more time.
        include_top: whether to classification_head; else the model gives features.
        weights: ``None`` (random), a path to weights, or ``"hf://owner/name"``; what
            `keras_tnt.load_weights` takes.
        input_tensor: a Keras tensor to use as the images, ``(batch, height, width,
            channels)``.
        input_shape: ``(height, width, channels)``, static, height and width multiples
            of ``patch_size``. ``(224, 224, 3)`` by default.
        pooling: what a model without top returns, all after the final norm:
            ``None`` for the feature map ``(batch, height / patch_size,
            width / patch_size, outer_dim)``, ``"token"`` for the class token,
            ``"avg"`` or ``"max"`` over the patches, ``(batch, outer_dim)``. Not used
            with top.
        classes: number of classes of the head.
        classifier_activation: activation of the head; ``None`` for logits.
        include_preprocessing: whether the model scales its input from 0-255 (uint8
            or float) to ±1; else it expects scaled images.
        name: name of the model.

    Returns:
        A functional `keras.Model`; its outputs are float32 with top, also under
        mixed precision.

    Raises:
        ValueError: for an argument out of range, an image that is no whole number of
            patches, or ``channels_first``.

    Example:
        >>> import keras_tnt, numpy
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> model(numpy.zeros((2, 32, 64, 3), "uint8")).shape
        TensorShape([2, 7])
    """
    if isinstance(weights, str) and weights == "imagenet":
        raise ValueError(
            'weights="imagenet" is for the published sizes: use keras_tnt.TNTSmall or '
            "keras_tnt.TNTBase, or weights=None, a path, or hf://owner/name here."
        )
    check_channels_last()
    check_widths(outer_dim, inner_dim, outer_num_heads, inner_num_heads)
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}.")
    inner_blocks = _inner_blocks(inner_blocks, depth)
    check_pooling(pooling, POOLINGS)
    images = image_input(input_tensor, input_shape, (224, 224, 3))
    # The layer's own check of the image's size, before any weight is made.
    PixelEmbedding(1, patch_size, name="input").compute_output_shape(images.shape)
    height, width = (side // patch_size for side in images.shape[1:3])

    x = rescale(images) if include_preprocessing else images
    pixels = PixelEmbedding(
        inner_dim, patch_size, inner_stride, name="pixel_embedding"
    )(x)
    patches = PatchEmbedding(outer_dim, dropout_rate, name="patch_embedding")(pixels)
    common = {
        "mlp_ratio": mlp_ratio,
        "qkv_bias": qkv_bias,
        "se_ratio": se_ratio,
        "dropout_rate": dropout_rate,
        "remat": remat,
    }
    for block in range(1, depth + 1):
        common["name"] = f"block_{block}"
        common["drop_path_rate"] = drop_path_rate * (block - 1) / max(depth - 1, 1)
        if block in inner_blocks:
            pixels, patches = TNTBlock(outer_num_heads, inner_num_heads, **common)(
                pixels, patches
            )
        else:
            patches = TransformerBlock(outer_num_heads, **common)(patches)
    tokens = LayerNorm(name="norm")(patches)

    if include_top:
        dropout = keras.layers.Dropout(dropout_rate, name="head_dropout")
        features = dropout(_class_token(tokens))
        outputs = classification_head(features, classes, classifier_activation)
    else:
        outputs = _pool(tokens, pooling, height, width)
    return build_model(images, outputs, name, weights)


def _inner_blocks(inner_blocks, depth):
    """The set of blocks with an inner transformer."""
    if inner_blocks is None:
        return set(range(1, depth + 1))
    outside = sorted(set(inner_blocks) - set(range(1, depth + 1)))
    if outside:
        raise ValueError(
            f"inner_blocks counts the blocks from 1 to depth={depth}, got {outside}."
        )
    return set(inner_blocks)


def _pool(tokens, pooling, height, width):
    """Features from the tokens after the final norm."""
    if pooling == "token":
        return _class_token(tokens)
    patches = keras.layers.Cropping1D((1, 0), name="patch_tokens")(tokens)
    if pooling == "avg":
        return keras.layers.GlobalAveragePooling1D(name="avg_pool")(patches)
    if pooling == "max":
        return keras.layers.GlobalMaxPooling1D(name="max_pool")(patches)
    return keras.layers.Reshape((height, width, -1), name="feature_map")(patches)


def _class_token(tokens):
    """The first token, ``(batch, outer_dim)``; stock layers keep their names."""
    first = keras.layers.Cropping1D((0, tokens.shape[1] - 1), name="first_token")
    return keras.layers.Flatten(name="class_token")(first(tokens))


def TNTTiny(  # noqa: N802
    include_top=True,
    weights="imagenet",
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    include_preprocessing=True,
    name="tnt_tiny",
    **options,
):
    """Builds TNT-Ti (paper, Table 2): 6,076,408 parameters, 1.4 GMACs at 224x224.

    No weights are published: the default, ``weights="imagenet"``, raises and says
    so. The paper reports 73.9 % top-1 on ImageNet.

    Args:
        include_top: whether to classification_head; else the model gives features.
        weights: ``"imagenet"``, ``None``, a path, or ``"hf://owner/name"``; see
            `keras_tnt.load_weights` for other image sizes and classes.
        input_tensor: a Keras tensor to use as the images.
        input_shape: ``(height, width, channels)``; ``(224, 224, 3)`` by default.
        pooling: ``None``, ``"token"``, ``"avg"`` or ``"max"``; for features.
        classes: number of classes of the head.
        classifier_activation: activation of the head; ``None`` for logits.
        include_preprocessing: whether the model scales its input from 0-255.
        name: name of the model.
        **options: further arguments of `keras_tnt.TNT`, such as ``drop_path_rate``.

    Returns:
        A functional `keras.Model`; see `keras_tnt.TNT`.

    Raises:
        ValueError: as `keras_tnt.TNT` and `keras_tnt.load_weights` do.
        OSError: if the weights cannot be downloaded.

    Example:
        >>> import keras_tnt
        >>> keras_tnt.TNTTiny(weights=None).count_params()
        6076408
    """
    return _variant(
        "tnt_tiny",
        options,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        include_preprocessing=include_preprocessing,
        name=name,
    )


def TNTSmall(  # noqa: N802
    include_top=True,
    weights="imagenet",
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    include_preprocessing=True,
    name="tnt_small",
    **options,
):
    """Builds TNT-S (paper, Table 2): 23,768,584 parameters, 5.2 GMACs at 224x224.

    The published weights reach 81.5 % top-1 on ImageNet.

    Args:
        include_top: whether to classification_head; else the model gives features.
        weights: ``"imagenet"``, ``None``, a path, or ``"hf://owner/name"``; see
            `keras_tnt.load_weights` for other image sizes and classes.
        input_tensor: a Keras tensor to use as the images.
        input_shape: ``(height, width, channels)``; ``(224, 224, 3)`` by default.
        pooling: ``None``, ``"token"``, ``"avg"`` or ``"max"``; for features.
        classes: number of classes of the head.
        classifier_activation: activation of the head; ``None`` for logits.
        include_preprocessing: whether the model scales its input from 0-255.
        name: name of the model.
        **options: further arguments of `keras_tnt.TNT`, such as ``drop_path_rate``.

    Returns:
        A functional `keras.Model`; see `keras_tnt.TNT`.

    Raises:
        ValueError: as `keras_tnt.TNT` and `keras_tnt.load_weights` do.
        OSError: if the weights cannot be downloaded.

    Example:
        >>> import keras_tnt
        >>> keras_tnt.TNTSmall(weights=None).count_params()
        23768584
    """
    return _variant(
        "tnt_small",
        options,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        include_preprocessing=include_preprocessing,
        name=name,
    )


def TNTBase(  # noqa: N802
    include_top=True,
    weights="imagenet",
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    include_preprocessing=True,
    name="tnt_base",
    **options,
):
    """Builds TNT-B (paper, Table 2): 65,428,680 parameters, 14.1 GMACs at 224x224.

    The published weights reach 82.9 % top-1 on ImageNet.

    Args:
        include_top: whether to classification_head; else the model gives features.
        weights: ``"imagenet"``, ``None``, a path, or ``"hf://owner/name"``; see
            `keras_tnt.load_weights` for other image sizes and classes.
        input_tensor: a Keras tensor to use as the images.
        input_shape: ``(height, width, channels)``; ``(224, 224, 3)`` by default.
        pooling: ``None``, ``"token"``, ``"avg"`` or ``"max"``; for features.
        classes: number of classes of the head.
        classifier_activation: activation of the head; ``None`` for logits.
        include_preprocessing: whether the model scales its input from 0-255.
        name: name of the model.
        **options: further arguments of `keras_tnt.TNT`, such as ``drop_path_rate``.

    Returns:
        A functional `keras.Model`; see `keras_tnt.TNT`.

    Raises:
        ValueError: as `keras_tnt.TNT` and `keras_tnt.load_weights` do.
        OSError: if the weights cannot be downloaded.

    Example:
        >>> import keras_tnt
        >>> keras_tnt.TNTBase(weights=None).count_params()
        65428680
    """
    return _variant(
        "tnt_base",
        options,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        include_preprocessing=include_preprocessing,
        name=name,
    )


def _variant(variant, options, weights, **arguments):
    """Builds a row of `VARIANTS`, whatever the model's own name is."""
    if isinstance(weights, str) and weights == "imagenet":
        weights = f"hf://{registry.published(variant).repo_id}"
    return TNT(weights=weights, **VARIANTS[variant], **arguments, **options)
