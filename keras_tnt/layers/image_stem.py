"""What the layers that cut images into patches have in common: sizes of images."""

from typing import Any

import keras
from keras import ops

from keras_tnt.layers.base import (
    TNTLayer,
    check_image_shape,
    count_patches,
    fix_image_shape,
    sizes,
)
from keras_tnt.utils.counts import check_counts, check_size
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Shape, Tensor

MAX_IMAGE_SIZE = 1024
IMPOSSIBLE_SIZE = 2**31 - 1  # a prime number


class ImageStem(TNTLayer):
    """Base class of the layers that cut images into patches.

    With a native image size, the layer takes images of any size, also of one that is
    known only when a graph runs. Its positions are then those of the native size.

    Args:
        native_image_size: ``(height, width)`` that the layer has positions for, if it
            takes images of any size; ``None`` for images of one static size.
        max_image_size: the largest height and width of images of any size.
        pad_images: whether to pad images of any size to whole patches, with zeros at
            the bottom and on the right, instead of refusing them.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.
    """

    patch_size: int  # in image pixels
    min_patches = 1  # of a side of an image of any size

    def __init__(
        self,
        *,
        native_image_size: tuple[int, int] | None = None,
        max_image_size: int = MAX_IMAGE_SIZE,
        pad_images: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_counts(max_image_size=max_image_size)
        if native_image_size is not None:
            native_image_size = check_size("native_image_size", native_image_size)
        self.native_image_size = native_image_size
        self.max_image_size = max_image_size
        self.pad_images = pad_images

    def grid(self, image_shape: Shape) -> tuple[int | None, int | None]:
        """Return rows and columns of the patches, ``None`` where they are open.

        Raises:
            ValueError: if the layer does not take images of this shape.
        """
        if self.native_image_size is None:
            check_image_shape(self, image_shape)
        elif len(image_shape) != 4 or image_shape[-1] is None:
            raise ValueError(
                f"{self.name}: expected images (batch, height, width, channels) with a "
                f"fixed number of channels, got shape {tuple(image_shape)}."
            )
        height, width = image_shape[1:3]
        if not all(side is None or self._takes(side) for side in (height, width)):
            raise ValueError(self._refusal(f"{height}x{width}"))
        rows, columns = (
            side and count_patches(side, self.patch_size) for side in (height, width)
        )
        return rows, columns

    def position_grid(self, image_shape: Shape) -> tuple[int, int]:
        """Return rows and columns of the positions, for images of a shape.

        Raises:
            ValueError: if the layer does not take images of this shape, or of the
                native size.
        """
        rows, columns = self.grid(image_shape)
        if self.native_image_size is not None:
            height, width = self.native_image_size
            rows, columns = self.grid((None, height, width, image_shape[-1]))
            if height % self.patch_size or width % self.patch_size:
                raise ValueError(
                    f"{self.name}: native_image_size must be multiples of "
                    f"{self.patch_size}, got {height}x{width}. Choose another one."
                )
        return rows, columns  # type: ignore[return-value]  # a static size

    def compute_output_spec(self, inputs: Tensor, training: bool | None = None) -> Any:
        """Return the Keras tensors of the outputs for images."""
        shapes = self.compute_output_shape(inputs.shape)
        return keras.tree.map_shape_structure(
            lambda shape: keras.KerasTensor(shape, self.compute_dtype), shapes
        )

    def _whole_patches(self, images):
        """Check the size of images; pad those of any size to whole patches."""
        images = fix_image_shape(self, images, self._image_shape)
        if self.native_image_size is None:
            return images
        height, width, channels = sizes(images)
        takes = self._takes(height) & self._takes(width)
        rows, columns = (count_patches(s, self.patch_size) for s in (height, width))
        bottom = rows * self.patch_size - height
        right = columns * self.patch_size - width
        padded = ops.pad(images, ((0, 0), (0, bottom), (0, right), (0, 0)))
        if isinstance(takes, bool):
            if not takes:
                raise ValueError(self._refusal(f"{height}x{width}"))
            return padded
        # The size is known when the graph runs. Formats without assertions, and XLA,
        # refuse to reshape the images instead.
        message = self._refusal("others") + " Height and width:"
        tf.debugging.Assert(takes, [message, height, width])
        height = ops.where(takes, height + bottom, IMPOSSIBLE_SIZE)
        return ops.reshape(padded, (-1, height, width + right, channels))

    def _takes(self, side):
        """Whether a height or width fits, a number or a tensor."""
        takes = side >= self._smallest()
        if self.native_image_size is not None:
            takes &= side <= self.max_image_size
        return takes if self._pads() else takes & (side % self.patch_size == 0)

    def _pads(self):
        return self.native_image_size is not None and self.pad_images

    def _smallest(self):
        if self.native_image_size is None:
            return 1
        missing = self.patch_size - 1 if self._pads() else 0
        return self.min_patches * self.patch_size - missing

    def _refusal(self, got):
        """The error for images of a size that does not fit."""
        expected = [] if self._pads() else [f"multiples of {self.patch_size}"]
        if self.native_image_size is not None:
            bounds = f"{self._smallest()} to max_image_size={self.max_image_size}"
            expected += [f"from {bounds}"]
        return (
            f"{self.name}: height and width must be {' '.join(expected)}, got {got}. "
            "Resize or pad the images."
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "native_image_size": self.native_image_size,
            "max_image_size": self.max_image_size,
            "pad_images": self.pad_images,
        }
