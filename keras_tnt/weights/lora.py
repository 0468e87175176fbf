"""LoRA: training low-rank adapters beside frozen kernels (arXiv 2106.09685)."""

from typing import Any

import keras

from keras_tnt.structure import find_tnt, stem
from keras_tnt.utils.counts import check_count

# Layers that compute queries, keys and values.
ADAPTED = ("qkv", "query", "key_value")


def enable_lora(model: keras.Model, rank: int, lora_alpha: float | None = None) -> None:
    """Freeze a TNT and train low-rank adapters of its attention (arXiv 2106.09685).

    Each kernel of queries, keys and values gets two matrices of this rank, whose
    product is added to it. The product is zero at first, so the model computes the same
    as before. The head and your own layers around the TNT stay trainable. Compile the
    model afterwards. A saved model keeps its adapters; `merge_lora` adds them to the
    kernels, as exports do.

    Args:
        model: a TNT or PyramidTNT, a model grown from one, or one with it as a layer.
        rank: columns of the first matrix and rows of the second.
        lora_alpha: the product is multiplied by ``lora_alpha / rank``; 1 by default.

    Raises:
        ValueError: if the model has no TNT, ``rank`` is not a whole number of at least
            1, or the model has adapters.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> keras_tnt.enable_lora(model, rank=4)
        >>> len(model.trainable_weights)  # two of each attention, kernel and bias
        10
    """
    rank = check_count("rank", rank)
    tnt = find_tnt(model)
    if has_lora(model):
        raise ValueError(
            f"Model {model.name!r} has LoRA adapters. Merge them first: "
            "model = keras_tnt.merge_lora(model)."
        )
    # Without the layers before the TNT and after it, which may be the user's own.
    backbone = keras.Model(stem(tnt).input, tnt.get_layer("norm").output)
    backbone.trainable = False
    for layer in backbone._flatten_layers():
        if layer.name in ADAPTED:
            layer.trainable = True
            layer.enable_lora(rank, lora_alpha)
            if layer.bias is not None:
                layer.bias.trainable = False


def has_lora(model: keras.Model) -> bool:
    """Return whether a layer of a model has LoRA adapters."""
    return any(
        getattr(layer, "lora_enabled", False) for layer in model._flatten_layers()
    )


def merge_lora(model: keras.Model) -> keras.Model:
    """Copy a model, with its LoRA adapters added to the kernels.

    Args:
        model: a functional model, also one without adapters. It is not changed.

    Returns:
        A new model of the same layers, dtypes and outputs. What was frozen still is,
        and so are the layers that had adapters. To train all of it, set
        ``layer.trainable = True`` for each of its ``layers``.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> before = model.count_params()
        >>> keras_tnt.enable_lora(model, rank=4)
        >>> model.count_params() > before
        True
        >>> keras_tnt.merge_lora(model).count_params() == before
        True
    """

    def copy(layer):
        if not isinstance(layer, keras.layers.Layer):  # an operation of `keras.ops`
            return layer
        return type(layer).from_config(without_lora(layer.get_config()))

    copied = keras.models.clone_model(model, clone_function=copy, recursive=True)
    copy_merged_weights(model, copied)
    return copied


def without_lora(config: Any) -> Any:
    """Return a config of a layer without LoRA, also in those of its sublayers.

    A layer that had adapters is frozen as a whole in place of its kernel alone, so that
    it can be set trainable again.
    """
    if isinstance(config, (list, tuple)):
        return type(config)(map(without_lora, config))
    if not isinstance(config, dict):
        return config
    changed = {key: without_lora(value) for key, value in config.items()}
    if changed.pop("lora_rank", None):
        changed.pop("lora_alpha", None)
        changed.pop("frozen_weights", None)
        changed["trainable"] = False
    return changed


def copy_merged_weights(model: keras.Model, copied: keras.Model) -> None:
    """Copy the weights of all layers, with LoRA adapters merged, as in a file.

    Args:
        model: the model to copy from.
        copied: a model of the same layers without adapters.
    """
    for layer, other in zip(
        model._flatten_layers(), copied._flatten_layers(), strict=True
    ):
        store: dict = {}
        layer.save_own_variables(store)
        other.load_own_variables(store)
