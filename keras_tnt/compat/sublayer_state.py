"""State of sublayers that a Keras layer's configuration omits.

Fault: `Layer.get_config` stores the layer's own dtype policy and whether the layer is
trainable, but not those of its sublayers. After reloading, a quantized sublayer is in
float, and its weights do not load; a frozen one is trainable, and the saved state of
the optimizer does not fit.
Issue: no issue known.
Seen in: Keras 3.15.1 (first and last version checked).
"""

from collections.abc import Iterable
from typing import Any

import keras

from keras_tnt.utils.typing import DType

# Arguments of a sublayer that its holder's arguments do not determine.
KEPT = (
    "frozen_weights",
    "lora_alpha",
    "lora_rank",
    "quantization_config",
    "sublayers",
    "trained_weights",
)


def sublayer_states(
    layer: keras.layers.Layer, sublayers: Iterable[keras.layers.Layer] | None = None
) -> dict[str, dict[str, Any]]:
    """Return what differs in each sublayer from the layer that holds it.

    Args:
        layer: a layer or model.
        sublayers: layers that it holds, with names of their own; all by default.

    Returns:
        The name of each sublayer that differs → the arguments of its constructor that
        differ, JSON-serializable. `sublayer_arguments` turns them into arguments.
    """
    if sublayers is None:
        sublayers = layer._flatten_layers(include_self=False, recursive=False)
    states = {
        part.name: _state(part, layer)
        for part in sublayers
        if not isinstance(part, keras.layers.InputLayer)
    }
    return {name: state for name, state in states.items() if state}


def sublayer_arguments(
    name: str, states: dict[str, dict[str, Any]], trainable: bool, dtype: DType
) -> dict[str, Any]:
    """Return arguments for the constructor of a sublayer.

    Args:
        name: name of the sublayer.
        states: the result of `sublayer_states`.
        trainable: whether the sublayer is trainable, unless its state says otherwise.
        dtype: dtype policy of the sublayer, unless its state has another.
    """
    state = dict(states.get(name, {}))
    if "quantization_config" in state:
        state["quantization_config"] = keras.saving.deserialize_keras_object(
            state["quantization_config"]
        )
    return {"name": name, "trainable": trainable, "dtype": dtype, **state}


def policy_of(layer: keras.layers.Layer) -> keras.dtype_policies.DTypePolicy:
    """Return the dtype policy of a layer, the one for its path if it has a map."""
    policy = layer.dtype_policy
    if not isinstance(policy, keras.dtype_policies.DTypePolicyMap):
        return policy
    return policy[layer.path] if layer.path else policy.default_policy


def _state(part, holder):
    config = part.get_config()
    state = {key: config[key] for key in KEPT if config.get(key)}
    other_policy = policy_of(part) != policy_of(holder)
    if other_policy:
        state["dtype"] = keras.dtype_policies.serialize(policy_of(part))
    # With a policy always, as in the configs of layers: exports look for the pair.
    if other_policy or part.trainable != holder.trainable:
        state["trainable"] = part.trainable
    return state
