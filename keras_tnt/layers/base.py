"""What the layers of this package have in common: how they make their sublayers."""

from typing import Any

import keras
from keras import ops

from keras_tnt.compat import sublayer_state
from keras_tnt.layers.initializers import convolution_initializer, normal_initializer
from keras_tnt.layers.layer_norm import LayerNorm
from keras_tnt.utils.typing import Tensor


class TNTLayer(keras.layers.Layer):
    """A layer made of stock Keras layers, which share its dtype policy.

    Its configuration keeps what Keras forgets of the sublayers: the policy of each that
    is quantized, without which a model quantized with ``model.quantize("int8")`` could
    not be loaded again, and which of them are frozen, without which neither could the
    optimizer of a model that was trained in part.
    """

    def get_config(self) -> dict[str, Any]:
        """Returns name, trainability and dtype, that of quantized sublayers apart."""
        config = super().get_config()
        policy = sublayer_state.policy_with_quantized_sublayers(self)
        return config if policy is None else {**config, "dtype": policy}

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the shapes that the layer was built for, and what of it is frozen."""
        config = super().get_build_config()
        frozen = sublayer_state.frozen_sublayers(self)
        return {**config, "frozen": frozen} if config and frozen else config

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the layer as `get_build_config` describes it."""
        super().build_from_config(config)
        sublayer_state.freeze_sublayers(self, config.get("frozen", ()))

    def _dense(self, units, name, **arguments):
        return keras.layers.Dense(
            units,
            kernel_initializer=normal_initializer(),
            name=name,
            dtype=self.dtype_policy,
            **arguments,
        )

    def _norm(self, name, axis=-1):
        return LayerNorm(axis=axis, name=name, dtype=self.dtype_policy)

    def _convolution(self, dim, name, strides=1):
        """A 3x3 convolution for inputs padded by `pad_image`."""
        return keras.layers.Conv2D(
            dim,
            3,
            strides=strides,
            padding="valid",
            data_format="channels_last",
            kernel_initializer=convolution_initializer(),
            name=name,
            dtype=self.dtype_policy,
        )

    def _dropout(self, rate, name, noise_shape=None):
        return keras.layers.Dropout(
            rate, noise_shape, name=name, dtype=self.dtype_policy
        )


def pad_image(images: Tensor, margin: int = 1) -> Tensor:
    """Pads height and width with zeros on all sides, as PyTorch's convolutions do.

    Keras's ``padding="same"`` pads a strided convolution at the far sides only.
    """
    return ops.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
