"""Convolutional stem: the pixels and patches of a PyramidTNT's first stage."""

from typing import Any

import keras
from keras import ops

from keras_tnt.compat import keras_layers
from keras_tnt.layers.base import pad_image, sizes
from keras_tnt.layers.image_stem import MAX_IMAGE_SIZE, ImageStem
from keras_tnt.layers.initializers import normal_initializer
from keras_tnt.layers.position_resampling import resample_grid
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import Shape, Tensor

PIXELS_PER_PATCH_SIDE = 4


@keras.saving.register_keras_serializable(package="keras_tnt")
class PyramidStem(ImageStem):
    """Convolutional stem of PyramidTNT (arXiv 2201.00978, section 2.1).

    All convolutions are 3x3, zero-padded by 1, and followed by batch normalization and
    ReLU. A common convolution halves the image. One more convolution computes the
    pixels. Three more compute the patches; two of them halve the map. Learned position
    embeddings are added: one for each patch, and one for each pixel of a patch.

    Shapes: ``(batch, height, width, channels)`` to pixels
    ``(batch, height / 8, width / 8, 16, inner_dim)`` and patches
    ``(batch, height / 8, width / 8, outer_dim)``. Height and width are static without a
    native image size. With one they may be open, and the quotients are rounded up.

    Args:
        outer_dim: width of a patch.
        inner_dim: width of a pixel.
        dropout_rate: dropout of the patches' positions, 0 to 1, with one mask for a
            batch, as in the official code.
        native_image_size: ``(height, width)`` that the layer has positions for, if it
            takes images of any size; ``None`` for images of one static size.
        max_image_size: the largest height and width of images of any size.
        pad_images: whether to pad images of any size to whole patches, with zeros at
            the bottom and on the right, instead of refusing them.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: floating-point images, channels last, already scaled to -1 to 1.
        training: whether dropout is active and norms use the batch's statistics.

    Raises:
        ValueError: if the layer does not take images of this size. A graph of
            TensorFlow raises an `InvalidArgumentError` for a size known when it runs.

    Example:
        >>> import keras
        >>> from keras_tnt.layers import PyramidStem
        >>> stem = PyramidStem(outer_dim=128, inner_dim=8)
        >>> pixels, patches = stem(keras.ops.ones((2, 64, 32, 3)))
        >>> pixels.shape, patches.shape
        (TensorShape([2, 8, 4, 16, 8]), TensorShape([2, 8, 4, 128]))
    """

    patch_size = 8  # in image pixels
    min_patches = 4  # over which the first stage pools its keys

    def __init__(
        self,
        outer_dim: int,
        inner_dim: int,
        dropout_rate: float = 0.0,
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
        check_counts(outer_dim=outer_dim, inner_dim=inner_dim)
        self.outer_dim = outer_dim
        self.inner_dim = inner_dim
        self.dropout_rate = dropout_rate
        self.common_steps = self._step("common", 2 * inner_dim, strides=2)
        self.pixel_steps = self._step("pixel", inner_dim)
        self.patch_steps = [
            *self._step("patch_1", 4 * inner_dim, strides=2),
            *self._step("patch_2", 8 * inner_dim, strides=2),
            *self._step("patch_3", outer_dim),
        ]
        self.dropout = self._dropout(dropout_rate, "dropout")

    def _step(self, name, dim, strides=1):
        convolution = self._convolution(dim, f"{name}_convolution", strides)
        norm = keras_layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, **self._sublayer(f"{name}_norm")
        )
        return [convolution, norm]

    def build(self, input_shape: Shape) -> None:
        self._grid = rows, columns = self.position_grid(input_shape)
        self._image_shape = tuple(input_shape)
        channels = input_shape[-1]
        for steps, dim in (
            (self.common_steps, channels),
            (self.pixel_steps, 2 * self.inner_dim),
            (self.patch_steps, 2 * self.inner_dim),
        ):
            for layer in steps:
                layer.build((None, None, None, dim))
                dim = getattr(layer, "filters", dim)
        self.pixel_position_embedding = self.add_weight(
            shape=(1, PIXELS_PER_PATCH_SIDE**2, self.inner_dim),
            initializer=normal_initializer(),
            name="pixel_position_embedding",
        )
        self.patch_position_embedding = self.add_weight(
            shape=(1, rows * columns, self.outer_dim),
            initializer=normal_initializer(),
            name="patch_position_embedding",
            autocast=self.native_image_size is None,
        )

    def compute_output_shape(self, input_shape: Shape) -> tuple[Shape, Shape]:
        grid = (input_shape[0], *self.grid(input_shape))
        return (*grid, PIXELS_PER_PATCH_SIDE**2, self.inner_dim), (
            *grid,
            self.outer_dim,
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> tuple[Tensor, ...]:
        inputs = self._whole_patches(inputs)
        common = self._convolve(inputs, self.common_steps, training)
        pixels = self._cut(self._convolve(common, self.pixel_steps, training))
        patches = self._convolve(common, self.patch_steps, training)
        rows, columns, dim = sizes(patches)
        pixels = pixels + ops.cast(self.pixel_position_embedding, pixels.dtype)
        positions: Tensor = self.patch_position_embedding
        if self.native_image_size is not None:
            positions = resample_grid(positions, self._grid, (rows, columns))
        positions = ops.cast(positions, patches.dtype)
        positions = self.dropout(positions, training=training)
        return pixels, patches + ops.reshape(positions, (1, rows, columns, dim))

    def _convolve(self, x, steps, training):
        for convolution, norm in zip(steps[::2], steps[1::2], strict=True):
            x = ops.relu(norm(convolution(pad_image(x)), training=training))
        return x

    def _cut(self, x):
        """Split a map into the pixels of each patch, in row-major order."""
        height, width, dim = sizes(x)
        rows, columns = height // PIXELS_PER_PATCH_SIDE, width // PIXELS_PER_PATCH_SIDE
        # A row of pixels and its channels are one axis, so that four are transposed.
        x = ops.reshape(
            x, (-1, PIXELS_PER_PATCH_SIDE, columns, PIXELS_PER_PATCH_SIDE * dim)
        )
        x = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(x, (-1, rows, columns, PIXELS_PER_PATCH_SIDE**2, dim))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "outer_dim": self.outer_dim,
            "inner_dim": self.inner_dim,
            "dropout_rate": self.dropout_rate,
        }
