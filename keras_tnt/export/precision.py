"""The precision of a Keras model, and copies in another precision."""

from collections.abc import Iterable
from typing import Any

import keras

from keras_tnt.layers.fused_ops import runs_on_cpu_only
from keras_tnt.structure import find_head, has_graph
from keras_tnt.utils.cpu import has_bfloat16
from keras_tnt.weights.lora import copy_merged_weights, without_lora

HALF = ("float16", "bfloat16")
# The policies that a model is copied to. Weights stay float32 beside bfloat16, because
# the products round them when they run, and nothing else needs the rounded ones.
POLICIES = {
    "float32": "float32",
    "float16": "float16",
    "bfloat16": "mixed_bfloat16",
}
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


def inference_precision() -> str:
    """Return the fastest precision of this machine that costs little accuracy.

    It is decided by the devices and the flags of the CPU, not by a measurement. On GPUs
    it is float32, because it was measured on CPUs only.

    Returns:
        ``"bfloat16"`` on CPUs that have it in hardware, otherwise ``"float32"``.

    Example:
        >>> from keras_tnt.export.precision import inference_precision
        >>> inference_precision() in ("bfloat16", "float32")
        True
    """
    return "bfloat16" if runs_on_cpu_only() and has_bfloat16() else "float32"


def in_precision(model: keras.Model, precision: str) -> keras.Model:
    """Copy a model to another precision, also the models nested in it.

    Args:
        model: a functional model, not quantized.
        precision: of the arithmetic, ``"float32"``, ``"float16"`` or ``"bfloat16"``; in
            float16 of the weights, too. Resizing and rescaling, the statistics of layer
            normalization and the head are float32 in all of them.

    Returns:
        A new model with the same weights, rounded to float16 if asked for.

    Raises:
        ValueError: if a layer cannot be copied, or keeps its own precision.
    """
    exact = find_head(model).layers
    policy = POLICIES[precision]

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
        if layer.compute_dtype not in ("float32", precision)
    ]
    if other or precision_of(copied) != precision:
        name = other[0] if other else model.name
        raise ValueError(
            f"{name!r} does not take the precision {precision}, but computes in "
            "another whatever the `dtype` in its config. Pass `dtype` on to its "
            "sublayers, or build the model in that precision."
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
