"""Base class of the composite layers: sublayers and their configuration."""

from typing import Any

import keras
from keras import ops

from keras_tnt.compat import sublayer_state
from keras_tnt.layers.initializers import convolution_initializer, normal_initializer
from keras_tnt.layers.layer_norm import LayerNorm
from keras_tnt.utils.typing import Shape, Tensor


class TNTLayer(keras.layers.Layer):
    """A layer composed of Keras layers that share its dtype policy.

    The config also stores the dtype policy of each quantized sublayer, and the build
    config the list of frozen sublayers. Keras drops both, which breaks reloading of
    quantized and of partly frozen models.
    """

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        policy = sublayer_state.policy_with_quantized_sublayers(self)
        return config if policy is None else {**config, "dtype": policy}

    def get_build_config(self) -> dict[str, Any] | None:
        config = super().get_build_config()
        frozen = sublayer_state.frozen_sublayers(self)
        return {**config, "frozen": frozen} if config and frozen else config

    def build_from_config(self, config: dict[str, Any]) -> None:
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
        """Create a 3x3 convolution for inputs that `pad_image` padded."""
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


def check_image_shape(layer: keras.layers.Layer, shape: Shape) -> None:
    """Check that a layer's input shape is that of images of static size.

    Raises:
        ValueError: if it is another shape.
    """
    if len(shape) != 4 or None in shape[1:]:
        raise ValueError(
            f"{layer.name}: expected images (batch, height, width, channels) of static "
            f"size, got shape {tuple(shape)}. Give the input a fixed height, width and "
            "number of channels."
        )


def pad_image(images: Tensor, margin: int = 1) -> Tensor:
    """Pad height and width with zeros on all sides, as PyTorch's convolutions do.

    With stride 2, Keras's ``padding="same"`` pads the bottom and the right only.

    Args:
        images: tensor ``(batch, height, width, channels)``.
        margin: rows and columns of zeros on each side.

    Returns:
        A tensor ``(batch, height + 2 · margin, width + 2 · margin, channels)``.
    """
    return ops.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
