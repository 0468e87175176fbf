"""Layers that TensorFlow's checkpoints do not find."""

from typing import Any

import keras


class VisibleSublayers(keras.layers.Layer):
    """Base class of layers whose sublayers in lists are part of TensorFlow checkpoints.

    Fault: `tf.train.Checkpoint` does not save or restore the layers in a list that is
    an attribute of a Keras layer, and `assert_existing_objects_matched` passes.
    Issue: no issue known.
    Seen in: Keras 3.15.1 (first and last version checked).
    """

    def _trackable_children(
        self, save_type: str = "checkpoint", **kwargs: Any
    ) -> dict[str, Any]:
        """Return what TensorFlow tracks, and the sublayers by name."""
        children = super()._trackable_children(save_type, **kwargs)
        found = {id(child) for child in children.values()}
        hidden = {
            layer.name: layer
            for layer in self._flatten_layers(include_self=False, recursive=False)
            if id(layer) not in found
        }
        return {**hidden, **children}
