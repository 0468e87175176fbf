"""The precision of a Keras model, and copies in another precision."""

import inspect
from collections.abc import Iterable
from typing import Any

import keras

from keras_tnt.compat.quantization import freeze_garbage_collector
from keras_tnt.structure import find_head, has_graph
from keras_tnt.weights.lora import copy_merged_weights, without_lora

HALF = ("float16", "bfloat16")
# Layers before a TNT: pixel values 0-255 lose much in half precision.
PREPROCESSING = (
    keras.layers.CenterCrop,
    keras.layers.Normalization,
    keras.layers.Rescaling,
    keras.layers.Resizing,
)


def precision_of(model: keras.Model) -> str:
    """Return the precision of a model, apart from layers that are always float32.

    Args:
        model: a `keras.Model`. Layers of nested models and sublayers count.

    Returns:
        ``"int8"`` or another mode of `keras.Model.quantize` if a layer is quantized,
        ``"float16"`` or ``"bfloat16"`` if a layer computes in that, otherwise
        ``"float32"``.
    """
    layers = list(_layers(model))
    modes = [layer.quantization_mode for layer in layers if layer.quantization_mode]
    computed = {layer.compute_dtype for layer in layers}
    return next(
        (name for name in (*modes, *HALF) if name in {*modes, *computed}), "float32"
    )


def _layers(model) -> Iterable[keras.layers.Layer]:
    """All layers that compute: neither inputs nor the graphs around other layers."""
    for layer in model._flatten_layers():
        if not has_graph(layer) and not isinstance(layer, keras.layers.InputLayer):
            yield layer


def with_policy(model: keras.Model, policy: str) -> keras.Model:
    """Copy a model with another dtype policy, also of the models nested in it.

    Args:
        model: a functional model, not quantized.
        policy: ``"float32"`` or ``"float16"``, of weights and arithmetic. Resizing and
            rescaling, layer normalization and the head compute in float32 under both.

    Returns:
        A new model with the same weights, rounded to the precision.

    Raises:
        ValueError: if a layer cannot be copied, or keeps its own precision.
    """
    exact = find_head(model).layers

    def copy(layer):
        if not isinstance(layer, keras.layers.Layer):  # an operation of `keras.ops`
            return layer
        is_exact = isinstance(layer, PREPROCESSING) or any(
            layer is kept for kept in exact
        )
        return _copy_layer(layer, "float32" if is_exact else policy)

    copied = keras.models.clone_model(model, clone_function=copy, recursive=True)
    copy_merged_weights(model, copied)
    other = [
        layer.path
        for layer in _layers(copied)
        if layer.compute_dtype not in ("float32", policy)
    ]
    if other or precision_of(copied) != policy:
        name = other[0] if other else model.name
        raise ValueError(
            f"{name!r} does not take the precision {policy}, but computes in another "
            "whatever the `dtype` in its config. Pass `dtype` on to its sublayers, or "
            "build the model in that precision."
        )
    return copied


def _copy_layer(layer, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)  # of sublayers whose config does not tell
    try:
        config = _with_dtype(without_lora(layer.get_config()), policy)
        if "dtype" in config:
            config["dtype"] = policy
        return type(layer).from_config(config)
    except (NotImplementedError, TypeError) as error:
        raise ValueError(
            f"Layer {layer.name!r}, a {type(layer).__name__}, cannot be copied in the "
            f"precision {policy}, because it has no complete get_config. Add one, or "
            "build the model in that precision."
        ) from error
    finally:
        keras.config.set_dtype_policy(before)


def _with_dtype(config: Any, policy: str) -> Any:
    """A config of another dtype policy, in the configs of its layers too."""
    if isinstance(config, (list, tuple)):
        return type(config)(_with_dtype(part, policy) for part in config)
    if not isinstance(config, dict):
        return config
    changed = {key: _with_dtype(value, policy) for key, value in config.items()}
    # An input's config has a dtype, but is not trainable.
    return changed | (
        {"dtype": policy} if {"dtype", "trainable"} <= config.keys() else {}
    )


def in_int8(model: keras.Model) -> keras.Model:
    """Copy a model with int8 weights in all Dense layers except the head.

    The inputs of these layers are rounded to 8 bits too, with a scale for each row.

    Args:
        model: a functional model in float32.

    Returns:
        A new model.
    """
    copied = with_policy(model, "float32")
    head = find_head(copied).dense
    with freeze_garbage_collector():
        copied.quantize(
            "int8",
            filters=lambda layer: (
                isinstance(layer, keras.layers.Dense) and layer is not head
            ),
            **_without_report(copied.quantize),
        )
    return copied


def _without_report(quantize):
    """The argument that stops `quantize` from printing, from Keras 3.16 on."""
    known = inspect.signature(quantize).parameters
    return {"verbose": False} if "verbose" in known else {}
