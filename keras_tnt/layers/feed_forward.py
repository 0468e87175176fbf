"""The two-layer MLP of a transformer block."""

from typing import Any

import keras
from keras import ops

from keras_tnt.compat.operations import gelu_by_erf
from keras_tnt.layers import fused_ops
from keras_tnt.layers.base import TNTLayer, sizes
from keras_tnt.utils.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
def gelu(x: Tensor) -> Tensor:
    """Compute the exact GELU, ``x · (1 + erf(x / sqrt(2))) / 2``.

    The result equals `keras.activations.gelu(approximate=False)`. The operations are
    ones that ONNX has.

    Args:
        x: floating-point tensor of any shape.

    Returns:
        A tensor of the same shape and dtype.

    Example:
        >>> from keras_tnt.layers import gelu
        >>> round(float(gelu(1.0)), 4)
        0.8413
    """
    return gelu_by_erf(x)


@keras.saving.register_keras_serializable(package="keras_tnt")
class FeedForward(TNTLayer):
    """Apply Dense, exact GELU and Dense to each token (paper, section 2.1).

    Shapes: ``(batch, …, dim)`` to the same, with one or more axes of tokens. Their
    number may be open, ``dim`` is static.

    Args:
        mlp_ratio: width of the hidden layer as a multiple of ``dim``; 4 in all
            published models.
        dropout_rate: dropout after each Dense, 0 to 1.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: floating-point tensor ``(batch, …, dim)``.
        training: whether dropout is active.

    Raises:
        ValueError: if the hidden layer has no unit.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import FeedForward
        >>> FeedForward()(keras.ops.ones((2, 17, 48))).shape
        TensorShape([2, 17, 48])
    """

    def __init__(
        self, mlp_ratio: float = 4.0, dropout_rate: float = 0.0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.mlp_ratio = mlp_ratio
        self.dropout_rate = dropout_rate
        self.intermediate_dropout = self._dropout(dropout_rate, "intermediate_dropout")
        self.output_dropout = self._dropout(dropout_rate, "output_dropout")

    def build(self, input_shape: Shape) -> None:
        dim = input_shape[-1]
        units = int(dim * self.mlp_ratio)
        if units < 1:
            raise ValueError(
                f"{self.name}: mlp_ratio must give at least one hidden unit, got "
                f"mlp_ratio={self.mlp_ratio} for width {dim}."
            )
        self.intermediate_dense = self._dense(units, "intermediate_dense")
        self.intermediate_dense.build((None, dim))
        self.output_dense = self._dense(dim, "output_dense")
        self.output_dense.build((None, units))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        *tokens, dim = sizes(inputs)
        rows = self.intermediate_dense(ops.reshape(inputs, (-1, dim)))
        if fused_ops.use_fused_ops(training):
            rows = fused_ops.gelu(rows, fused_ops.rows_per_image(inputs.shape))
        else:
            rows = gelu(rows)
        rows = self.intermediate_dropout(rows, training=training)
        rows = self.output_dense(rows)
        rows = self.output_dropout(rows, training=training)
        return ops.reshape(rows, (-1, *tokens, dim))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "mlp_ratio": self.mlp_ratio,
            "dropout_rate": self.dropout_rate,
        }
