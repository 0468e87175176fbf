"""Squeeze-and-excitation after an MLP, for the SE variant of TNT."""

from typing import Any

import keras
from keras import ops

from keras_tnt.layers.base import TNTLayer
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class SqueezeExcitation(TNTLayer):
    """Scale channels by a function of the mean token (paper, Table 12).

    ``h + a · h`` with ``a = tanh(W₂ relu(W₁ LN(mean of h over tokens)))``.

    Shapes: ``(batch, tokens, dim)`` to ``(batch, tokens, dim)``.

    Args:
        ratio: hidden units as a fraction of ``dim``; 0.25 in the published code.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: floating-point tensor ``(batch, tokens, dim)``.
        training: passed to the norm.

    Raises:
        ValueError: if the hidden layer has no unit.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import SqueezeExcitation
        >>> SqueezeExcitation()(keras.ops.ones((2, 17, 48))).shape
        TensorShape([2, 17, 48])
    """

    def __init__(self, ratio: float = 0.25, **kwargs: Any):
        super().__init__(**kwargs)
        self.ratio = ratio
        self.norm = self._norm("norm")

    def build(self, input_shape: Shape) -> None:
        dim = input_shape[-1]
        units = int(dim * self.ratio)
        if units < 1:
            raise ValueError(
                f"{self.name}: ratio must give at least one hidden unit, got "
                f"ratio={self.ratio} for width {dim}."
            )
        self.norm.build((None, dim))
        self.reduce_dense = self._dense(units, "reduce_dense", activation="relu")
        self.reduce_dense.build((None, dim))
        self.expand_dense = self._dense(dim, "expand_dense", activation="tanh")
        self.expand_dense.build((None, units))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        squeezed = self.norm(ops.mean(inputs, axis=1), training=training)
        excitation = self.expand_dense(self.reduce_dense(squeezed))
        return inputs + ops.expand_dims(excitation, 1) * inputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ratio": self.ratio}
