"""Rescaling of images for models whose policy reaches every layer."""

from typing import Any

import keras
from keras import ops

from keras_tnt.layers.base import TNTLayer
from keras_tnt.utils.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class ImageRescaling(TNTLayer):
    """Scales images from 0-255 to ±1, in float32 under every policy.

    The outputs have the compute dtype of the policy, as KerasHub asks of every layer.

    Args:
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.autocast = False
        self.built = True

    def call(self, images: Tensor) -> Tensor:
        scaled = ops.cast(images, "float32") * (1 / 127.5) - 1.0
        return ops.cast(scaled, self.compute_dtype)
