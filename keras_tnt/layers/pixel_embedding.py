"""Pixel embedding: the pixels ("visual words") of each patch of an image."""

from typing import Any

import keras
from keras import ops

from keras_tnt.compat import keras_layers
from keras_tnt.layers.base import (
    TNTLayer,
    check_image_shape,
    fix_image_shape,
    pad_image,
)
from keras_tnt.layers.initializers import normal_initializer
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Shape, Tensor

KERNEL_SIZE = 7


@keras.saving.register_keras_serializable(package="keras_tnt")
class PixelEmbedding(TNTLayer):
    """Split an image into patches and embed the pixels of each (paper, section 2.2).

    A 7x7 convolution is applied to each patch separately, zero-padded by 3 on all
    sides, so that patches do not see their neighbors. Learned position embeddings of
    the pixels inside a patch are added (equation 13).

    Shapes: ``(batch, height, width, channels)`` to
    ``(batch, patches, pixels, dim)`` with ``patches = (height / patch_size) ·
    (width / patch_size)`` and ``pixels = ceil(patch_size / stride)²``, both in
    row-major order. All axes but the batch are static.

    Args:
        dim: width of a pixel's embedding.
        patch_size: side of a square patch in image pixels.
        stride: distance between embedded pixels in image pixels.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: floating-point images, channels last, already scaled to -1 to 1.

    Raises:
        ValueError: if the image's size is not static or not a multiple of
            ``patch_size``.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import PixelEmbedding
        >>> PixelEmbedding(dim=24)(keras.ops.ones((2, 64, 32, 3))).shape
        TensorShape([2, 8, 16, 24])
    """

    def __init__(self, dim: int, patch_size: int = 16, stride: int = 4, **kwargs: Any):
        super().__init__(**kwargs)
        check_counts(dim=dim, patch_size=patch_size, stride=stride)
        self.dim = dim
        self.patch_size = patch_size
        self.stride = stride

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        self.compute_output_shape(input_shape)
        self._image_shape = tuple(input_shape)
        # PyTorch's default initialization, which the official code keeps.
        limit = (KERNEL_SIZE**2 * channels) ** -0.5
        self.projection = keras_layers.Conv2D(
            self.dim,
            KERNEL_SIZE,
            strides=self.stride,
            padding="valid",
            data_format="channels_last",
            kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
            bias_initializer=keras.initializers.RandomUniform(-limit, limit),
            **self._sublayer("projection"),
        )
        padded = self.patch_size + 2 * (KERNEL_SIZE // 2)
        self.projection.build((None, padded, padded, channels))
        self.position_embedding = self.add_weight(
            shape=(1, self._pixels, self.dim),
            initializer=normal_initializer(),
            name="position_embedding",
        )

    @property
    def _pixels(self):
        return (-(-self.patch_size // self.stride)) ** 2

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        check_image_shape(self, input_shape)
        batch, height, width, _ = input_shape
        patch = self.patch_size
        if not height or not width or height % patch or width % patch:
            raise ValueError(
                f"{self.name}: height and width must be multiples of "
                f"patch_size={patch}, got {height}x{width}. Resize or pad the images, "
                "or choose another patch_size."
            )
        return (batch, (height // patch) * (width // patch), self._pixels, self.dim)

    def call(self, inputs: Tensor) -> Tensor:
        inputs = fix_image_shape(self, inputs, self._image_shape)
        _, height, width, channels = inputs.shape
        patch = self.patch_size
        rows, columns = height // patch, width // patch
        x = ops.reshape(inputs, (-1, rows, patch, columns, patch, channels))
        x = ops.reshape(
            ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, patch, patch, channels)
        )
        x = self.projection(pad_image(x, KERNEL_SIZE // 2))
        x = ops.reshape(x, (-1, rows * columns, self._pixels, self.dim))
        return x + ops.cast(self.position_embedding, x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dim": self.dim,
            "patch_size": self.patch_size,
            "stride": self.stride,
        }
