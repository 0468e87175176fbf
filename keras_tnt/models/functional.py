"""The class of all models of this package."""

from typing import Any

import keras

from keras_tnt.compat.functional_policy import MendedFunctional
from keras_tnt.structure import class_token_alone
from keras_tnt.utils.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class Functional(MendedFunctional):
    """A functional model that computes only what its outputs depend on.

    A call computes the last block of a TNT for the class token alone if the outputs
    depend on no other token; see `keras_tnt.structure.class_token_alone`. The layers
    and their tensors, which other models are made of, are those of the whole graph.

    The name is that of Keras's class, because it is part of paths in weight files.

    Args:
        *args: arguments of a functional `keras.Model`, with a layer of this package.
        **kwargs: arguments of a functional `keras.Model`.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        reduced = class_token_alone(self)
        # A method: Keras would take a model for a further layer.
        self._compute = super().call if reduced is self else reduced.call

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        mask: Any = None,
        **kwargs: Any,
    ) -> Tensor:
        return self._compute(inputs, training=training, mask=mask, **kwargs)
