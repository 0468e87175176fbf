"""State of sublayers that a Keras layer's configuration omits."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras


def policy_with_quantized_sublayers(layer: keras.layers.Layer) -> Any:
    """Return the dtype policy to store in the config of a layer with sublayers.

    Fault: `Layer.get_config` stores the layer's own policy only. A sublayer that
    ``model.quantize("int8")`` changed is rebuilt in float, and its weights do not load.
    Issue: no issue known.
    Seen in: Keras 3.15.1 (first and last version checked).

    Args:
        layer: a layer whose sublayers share its dtype policy.

    Returns:
        A `keras.dtype_policies.DTypePolicyMap` with the policy of each quantized
        sublayer; ``None`` if no sublayer is quantized.
    """
    policies = {
        part.path: part.dtype_policy
        for part in layer._flatten_layers()
        if part.quantization_mode is not None
    }
    if not policies:
        return None
    default = getattr(layer.dtype_policy, "default_policy", layer.dtype_policy)
    return keras.dtype_policies.DTypePolicyMap(default, policies)


def frozen_sublayers(layer: keras.layers.Layer) -> list[str]:
    """Return the paths of the frozen sublayers, to store in the build config.

    Fault: a layer's config stores whether the layer is trainable, but not whether its
    sublayers are. After reloading all of them are trainable, and the saved state of the
    optimizer does not fit.
    Issue: no issue known.
    Seen in: Keras 3.15.1 (first and last version checked).

    Args:
        layer: a layer with sublayers.

    Returns:
        A list of paths, which `freeze_sublayers` takes.
    """
    return [part.path for part in _sublayers(layer) if not part.trainable]


def freeze_sublayers(layer: keras.layers.Layer, paths: Sequence[str]) -> None:
    """Freeze the sublayers that `frozen_sublayers` listed.

    Args:
        layer: the rebuilt layer.
        paths: the paths of the sublayers.
    """
    for part in _sublayers(layer):
        if part.path in paths:
            part.trainable = False


def _sublayers(layer) -> Iterable[keras.layers.Layer]:
    return layer._flatten_layers(include_self=False)
