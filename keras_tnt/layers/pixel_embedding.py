"""Pixel embedding: the pixels ("visual words") of each patch of an image."""

from typing import Any

import keras
from keras import ops

from keras_tnt.compat import keras_layers
from keras_tnt.compat.operations import crop_to_windows
from keras_tnt.layers.base import pad_image, sizes
from keras_tnt.layers.image_stem import MAX_IMAGE_SIZE, ImageStem
from keras_tnt.layers.initializers import normal_initializer
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Shape, Tensor

KERNEL_SIZE = 7


@keras.saving.register_keras_serializable(package="keras_tnt")
class PixelEmbedding(ImageStem):
    """Split an image into patches and embed the pixels of each (paper, section 2.2).

    A 7x7 convolution is applied to each patch separately, zero-padded by 3 on all
    sides, so that patches do not see their neighbors. Learned position embeddings of
    the pixels inside a patch are added (equation 13).

    Shapes: ``(batch, height, width, channels)`` to
    ``(batch, patches, pixels, dim)`` with ``patches = (height / patch_size) ·
    (width / patch_size)`` and ``pixels = ceil(patch_size / stride)²``, both in
    row-major order. Height and width are static without a native image size. With one
    they may be open, and the number of patches is rounded up.

    Args:
        dim: width of a pixel's embedding.
        patch_size: side of a square patch in image pixels.
        stride: distance between embedded pixels in image pixels.
        native_image_size: ``(height, width)`` that the model has positions for, if it
            takes images of any size; ``None`` for images of one static size.
        max_image_size: the largest height and width of images of any size.
        pad_images: whether to pad images of any size to whole patches, with zeros at
            the bottom and on the right, instead of refusing them.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: floating-point images, channels last, already scaled to -1 to 1.

    Raises:
        ValueError: if the layer does not take images of this size. A graph of
            TensorFlow raises an `InvalidArgumentError` for a size known when it runs.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import PixelEmbedding
        >>> PixelEmbedding(dim=24)(keras.ops.ones((2, 64, 32, 3))).shape
        TensorShape([2, 8, 16, 24])
    """

    def __init__(
        self,
        dim: int,
        patch_size: int = 16,
        stride: int = 4,
        native_image_size: tuple[int, int] | None = None,
        max_image_size: int = MAX_IMAGE_SIZE,
        pad_images: bool = True,
        **kwargs: Any,
    ):
        super().__init__(
            native_image_size=native_image_size,
            max_image_size=max_image_size,
            pad_images=pad_images,
            **kwargs,
        )
        check_counts(dim=dim, patch_size=patch_size, stride=stride)
        self.dim = dim
        self.patch_size = patch_size
        self.stride = stride

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        self.position_grid(input_shape)
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
        rows, columns = self.grid(input_shape)
        patches = rows * columns if rows and columns else None
        return (input_shape[0], patches, self._pixels, self.dim)

    def call(self, inputs: Tensor) -> Tensor:
        inputs = self._whole_patches(inputs)
        height, width, channels = sizes(inputs)
        patch = self.patch_size
        rows, columns = height // patch, width // patch
        x = ops.reshape(inputs, (-1, rows, patch, columns, patch, channels))
        x = ops.reshape(
            ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, patch, patch, channels)
        )
        x = crop_to_windows(x, KERNEL_SIZE, self.stride, KERNEL_SIZE // 2)
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
