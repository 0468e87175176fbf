"""Functional models that keep their dtype policy."""

from typing import Any

import keras

from keras_tnt.compat.keras_layers import WeightStates
from keras_tnt.compat.keras_training import MendedLoops


class MendedFunctional(MendedLoops, keras.Model):
    """A functional model whose dtype policy is that of its layers.

    Fault: Keras does not save the policy of a functional model. `compile` reads it to
    decide whether to scale the loss. After reloading, a model in float16 is trained
    without loss scaling, unless the global policy is the same.
    Issue: no issue known.
    Seen in: Keras 3.15.1 (first and last version checked).

    Args:
        *args: arguments of a functional `keras.Model`. The first layer of this package
            among its layers gives the policy.
        **kwargs: arguments of a functional `keras.Model`.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        layers = [layer for layer in self.layers if isinstance(layer, WeightStates)]
        self.dtype_policy = layers[0].dtype_policy
