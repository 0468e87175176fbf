"""PyramidTNT (arXiv 2201.00978): published sizes and any other.

A model is a plain functional `keras.Model`:

    image → rescaling → stem → stage_1 → merging → stage_2 → … → stage_4 → norm

and a head on the mean patch. The stages see the image at strides 8, 16, 32 and 64; both
pixels and patches are merged in between.
"""

import itertools

import keras

from keras_tnt.layers import (
    LayerNorm,
    PatchMerging,
    PixelMerging,
    PyramidStage,
    PyramidStem,
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

# The paper's Table 1; widths and heads are the first stage's.
VARIANTS = {
    "pyramid_tnt_tiny": {
        "outer_dim": 80,
        "inner_dim": 5,
        "depths": (2, 6, 3, 2),
        "outer_num_heads": 2,
        "inner_num_heads": 1,
    },
    "pyramid_tnt_small": {
        "outer_dim": 128,
        "inner_dim": 8,
        "depths": (2, 8, 4, 2),
        "outer_num_heads": 4,
        "inner_num_heads": 2,
    },
    "pyramid_tnt_medium": {
        "outer_dim": 192,
        "inner_dim": 12,
        "depths": (2, 8, 6, 2),
        "outer_num_heads": 4,
        "inner_num_heads": 2,
    },
    "pyramid_tnt_base": {
        "outer_dim": 256,
        "inner_dim": 16,
        "depths": (2, 10, 6, 2),
        "outer_num_heads": 4,
        "inner_num_heads": 2,
    },
}

# Stage by stage: widths and heads as multiples of the first stage's, and the side of
# the squares that the outer attention pools keys and values over.
MULTIPLES = (1, 2, 4, 4)
SR_RATIOS = (4, 2, 1, 1)

POOLINGS = (None, "avg", "max")


def PyramidTNT(  # noqa: N802 (keras.applications' convention: a builder reads like a class)
    outer_dim=128,
    inner_dim=8,
    depths=(2, 8, 4, 2),
    outer_num_heads=4,
    inner_num_heads=2,
    mlp_ratio=4.0,
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
    name="pyramid_tnt",
):
    """Builds a PyramidTNT of any size (arXiv 2201.00978, section 2).

    After a convolutional stem, four stages of growing width and shrinking map. Widths
    and heads are given for the first stage; the others have 2, 4 and 4 times as many.

    Args:
        outer_dim: width of a patch in the first stage.
        inner_dim: width of a pixel in the first stage.
        depths: number of blocks of each of the four stages.
        outer_num_heads: heads of the attention over the patches in the first stage.
        inner_num_heads: heads of the attention inside a patch in the first stage.
        mlp_ratio: width of a perceptron's hidden layer as a multiple of its tokens'.
        dropout_rate: dropout of the first patches, 0 to 1.
        drop_path_rate: stochastic depth: probability of leaving out a branch in the
            last block, growing linearly from 0 in the first. Inner branches are left
            out for each patch by itself, outer ones for each image.
        remat: whether training keeps only the blocks' inputs in memory and computes
            each block a second time for its gradient (rematerialization).
        include_top: whether to classification_head; else the model gives features.
        weights: ``None`` (random), a path to weights, or ``"hf://owner/name"``; what
            `keras_tnt.load_weights` takes.
        input_tensor: a Keras tensor to use as the images, ``(batch, height, width,
            channels)``.
        input_shape: ``(height, width, channels)``, static, height and width multiples
            of 8 and more than 24. ``(256, 256, 3)`` by default.
        pooling: what a model without top returns, all after the final norm:
            ``None`` for the last stage's map ``(batch, height / 64, width / 64,
            4 · outer_dim)``, rounded up, ``"avg"`` or ``"max"`` over that map,
            ``(batch, 4 · outer_dim)``. Not used with top.
        classes: number of classes of the head.
        classifier_activation: activation of the head; ``None`` for logits.
        include_preprocessing: whether the model scales its input from 0-255 (uint8
            or float) to ±1; else it expects scaled images.
        name: name of the model.

    Returns:
        A functional `keras.Model`; its outputs are float32 with top, also under
        mixed precision. Its layers ``stage_1`` to ``stage_4`` each give their pixels
        and their patches, the latter a map ``(batch, rows, columns, dim)``.

    Raises:
        ValueError: for an argument out of range, an image of another size, or
            ``channels_first``.

    Example:
        >>> import keras_tnt, numpy
        >>> model = keras_tnt.PyramidTNT(16, 4, (1, 1, 1, 1), 2, 1, classes=7,
        ...                              input_shape=(32, 64, 3))
        >>> model(numpy.zeros((2, 32, 64, 3), "uint8")).shape
        TensorShape([2, 7])
        >>> model.get_layer("stage_1").output[1].shape
        (None, 4, 8, 16)
    """
    if isinstance(weights, str) and weights == "imagenet":
        raise ValueError(
            'weights="imagenet" is for the published sizes, such as '
            "keras_tnt.PyramidTNTSmall; use weights=None, a path, or hf://owner/name "
            "here."
        )
    check_channels_last()
    check_widths(outer_dim, inner_dim, outer_num_heads, inner_num_heads)
    if len(depths) != len(MULTIPLES) or min(depths) < 1:
        raise ValueError(
            f"depths must be {len(MULTIPLES)} numbers of at least 1, got {depths}."
        )
    check_pooling(pooling, POOLINGS)
    images = image_input(input_tensor, input_shape, (256, 256, 3))
    stem = PyramidStem(outer_dim, inner_dim, dropout_rate, name="stem")
    _check_size(stem, images.shape)

    x = rescale(images) if include_preprocessing else images
    pixels, patches = stem(x)
    rates = _drop_path_rates(drop_path_rate, depths)
    for index, multiple in enumerate(MULTIPLES):
        stage = index + 1
        if index > 0:
            pixels = PixelMerging(multiple * inner_dim, name=f"pixel_merging_{stage}")(
                pixels
            )
            patches = PatchMerging(multiple * outer_dim, name=f"patch_merging_{stage}")(
                patches
            )
        pixels, patches = PyramidStage(
            depths[index],
            multiple * outer_num_heads,
            multiple * inner_num_heads,
            SR_RATIOS[index],
            mlp_ratio,
            rates[index],
            remat,
            name=f"stage_{stage}",
        )(pixels, patches)
    outputs = LayerNorm(name="norm")(patches)
    if include_top or pooling == "avg":
        outputs = keras.layers.GlobalAveragePooling2D(name="avg_pool")(outputs)
    elif pooling == "max":
        outputs = keras.layers.GlobalMaxPooling2D(name="max_pool")(outputs)
    if include_top:
        outputs = classification_head(outputs, classes, classifier_activation)
    return build_model(images, outputs, name, weights)


def _check_size(stem, image_shape):
    """Raises a `ValueError` before any weight is made."""
    (_, rows, columns, *_), _ = stem.compute_output_shape(image_shape)
    if min(rows, columns) < SR_RATIOS[0]:
        raise ValueError(
            "height and width must be at least 32, the first stage's keys being pooled "
            f"from 4x4 patches of 8x8, got {image_shape[1]}x{image_shape[2]}. Resize "
            "or pad the images."
        )


def _drop_path_rates(last, depths):
    """A list of rates for each stage, growing linearly over all their blocks."""
    steps = max(sum(depths) - 1, 1)
    rates = iter([last * block / steps for block in range(sum(depths))])
    return [list(itertools.islice(rates, depth)) for depth in depths]


def PyramidTNTTiny(  # noqa: N802
    include_top=True,
    weights="imagenet",
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    include_preprocessing=True,
    name="pyramid_tnt_tiny",
    **options,
):
    """Builds PyramidTNT-Ti: 10,578,529 parameters, 0.6 GFLOPs at 192x192.

    Weights of 75.2 % top-1 on ImageNet are published on a file-sharing site alone: the
    default, ``weights="imagenet"``, raises and says where; give the path of the file
    that you fetched there.

    Args:
        include_top: whether to classification_head; else the model gives features.
        weights: ``None``, a path, or ``"hf://owner/name"``; see
            `keras_tnt.load_weights` for other image sizes and classes.
        input_tensor: a Keras tensor to use as the images.
        input_shape: ``(height, width, channels)``; ``(192, 192, 3)`` by default.
        pooling: ``None``, ``"avg"`` or ``"max"``; for features.
        classes: number of classes of the head.
        classifier_activation: activation of the head; ``None`` for logits.
        include_preprocessing: whether the model scales its input from 0-255.
        name: name of the model.
        **options: further arguments of `keras_tnt.PyramidTNT`, such as
            ``drop_path_rate``.

    Returns:
        A functional `keras.Model`; see `keras_tnt.PyramidTNT`.

    Raises:
        ValueError: as `keras_tnt.PyramidTNT` and `keras_tnt.load_weights` do.
        OSError: if the weights cannot be downloaded.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.PyramidTNTTiny(weights=None, include_top=False)
        >>> model.output_shape
        (None, 3, 3, 320)
    """
    return _variant(
        "pyramid_tnt_tiny",
        options,
        192,
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


def PyramidTNTSmall(  # noqa: N802
    include_top=True,
    weights="imagenet",
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    include_preprocessing=True,
    name="pyramid_tnt_small",
    **options,
):
    """Builds PyramidTNT-S: 31,953,200 parameters, 3.3 GFLOPs at 256x256.

    Weights of 82.0 % top-1 on ImageNet are published on a file-sharing site alone: the
    default, ``weights="imagenet"``, raises and says where; give the path of the file
    that you fetched there.

    Args:
        include_top: whether to classification_head; else the model gives features.
        weights: ``None``, a path, or ``"hf://owner/name"``; see
            `keras_tnt.load_weights` for other image sizes and classes.
        input_tensor: a Keras tensor to use as the images.
        input_shape: ``(height, width, channels)``; ``(256, 256, 3)`` by default.
        pooling: ``None``, ``"avg"`` or ``"max"``; for features.
        classes: number of classes of the head.
        classifier_activation: activation of the head; ``None`` for logits.
        include_preprocessing: whether the model scales its input from 0-255.
        name: name of the model.
        **options: further arguments of `keras_tnt.PyramidTNT`, such as
            ``drop_path_rate``.

    Returns:
        A functional `keras.Model`; see `keras_tnt.PyramidTNT`.

    Raises:
        ValueError: as `keras_tnt.PyramidTNT` and `keras_tnt.load_weights` do.
        OSError: if the weights cannot be downloaded.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.PyramidTNTSmall(weights=None, include_top=False)
        >>> model.output_shape
        (None, 4, 4, 512)
    """
    return _variant(
        "pyramid_tnt_small",
        options,
        256,
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


def PyramidTNTMedium(  # noqa: N802
    include_top=True,
    weights="imagenet",
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    include_preprocessing=True,
    name="pyramid_tnt_medium",
    **options,
):
    """Builds PyramidTNT-M: 84,943,572 parameters, 8.2 GFLOPs at 256x256.

    Weights of 83.5 % top-1 on ImageNet are published on a file-sharing site alone: the
    default, ``weights="imagenet"``, raises and says where; give the path of the file
    that you fetched there.

    Args:
        include_top: whether to classification_head; else the model gives features.
        weights: ``None``, a path, or ``"hf://owner/name"``; see
            `keras_tnt.load_weights` for other image sizes and classes.
        input_tensor: a Keras tensor to use as the images.
        input_shape: ``(height, width, channels)``; ``(256, 256, 3)`` by default.
        pooling: ``None``, ``"avg"`` or ``"max"``; for features.
        classes: number of classes of the head.
        classifier_activation: activation of the head; ``None`` for logits.
        include_preprocessing: whether the model scales its input from 0-255.
        name: name of the model.
        **options: further arguments of `keras_tnt.PyramidTNT`, such as
            ``drop_path_rate``.

    Returns:
        A functional `keras.Model`; see `keras_tnt.PyramidTNT`.

    Raises:
        ValueError: as `keras_tnt.PyramidTNT` and `keras_tnt.load_weights` do.
        OSError: if the weights cannot be downloaded.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.PyramidTNTMedium(weights=None, include_top=False)
        >>> model.output_shape
        (None, 4, 4, 768)
    """
    return _variant(
        "pyramid_tnt_medium",
        options,
        256,
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


def PyramidTNTBase(  # noqa: N802
    include_top=True,
    weights="imagenet",
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    include_preprocessing=True,
    name="pyramid_tnt_base",
    **options,
):
    """Builds PyramidTNT-B: 156,990,072 parameters, 16.0 GFLOPs at 256x256.

    Weights of 84.1 % top-1 on ImageNet are published on a file-sharing site alone: the
    default, ``weights="imagenet"``, raises and says where; give the path of the file
    that you fetched there.

    Args:
        include_top: whether to classification_head; else the model gives features.
        weights: ``None``, a path, or ``"hf://owner/name"``; see
            `keras_tnt.load_weights` for other image sizes and classes.
        input_tensor: a Keras tensor to use as the images.
        input_shape: ``(height, width, channels)``; ``(256, 256, 3)`` by default.
        pooling: ``None``, ``"avg"`` or ``"max"``; for features.
        classes: number of classes of the head.
        classifier_activation: activation of the head; ``None`` for logits.
        include_preprocessing: whether the model scales its input from 0-255.
        name: name of the model.
        **options: further arguments of `keras_tnt.PyramidTNT`, such as
            ``drop_path_rate``.

    Returns:
        A functional `keras.Model`; see `keras_tnt.PyramidTNT`.

    Raises:
        ValueError: as `keras_tnt.PyramidTNT` and `keras_tnt.load_weights` do.
        OSError: if the weights cannot be downloaded.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.PyramidTNTBase(weights=None, include_top=False)
        >>> model.output_shape
        (None, 4, 4, 1024)
    """
    return _variant(
        "pyramid_tnt_base",
        options,
        256,
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


def _variant(variant, options, size, weights, input_tensor, input_shape, **arguments):
    """Builds a row of `VARIANTS`, whatever the model's own name is."""
    if isinstance(weights, str) and weights == "imagenet":
        weights = f"hf://{registry.published(variant).repo_id}"
    if input_tensor is None:
        input_shape = input_shape or (size, size, 3)
    return PyramidTNT(
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        **VARIANTS[variant],
        **arguments,
        **options,
    )
