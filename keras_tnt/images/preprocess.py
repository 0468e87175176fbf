"""The evaluation transform.

It consists of TensorFlow ops, so it also runs inside `tf.data` and in an exported
signature. On Keras's other backends it is computed by NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.images.portable import resize_and_crop
from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.counts import check_size
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Tensor

# The published models are evaluated on the central 90 % of the resized image.
CROP_FRACTION = 0.9


def preprocess_input(
    images: ArrayLike | Sequence[ArrayLike],
    size: int | tuple[int, int] = 224,
    crop_fraction: float = CROP_FRACTION,
    scale: float | None = None,
) -> Tensor:
    """Resize and crop images as in the published evaluation.

    The image is resized (bicubic, antialias) until it just covers a box of
    `floor(size / crop_fraction)` (248 for 224), and its center is cropped. This equals
    torchvision's `Resize(248)` and `CenterCrop(224)` on a Pillow image: a horizontal
    and a vertical pass, each rounded to whole levels. Values stay 0-255, because the
    model scales them.

    Args:
        images: one image (height, width, channels), a batch of them
            (batch, height, width, channels), or a list of images of any sizes;
            arrays or tensors, values 0-255, uint8 or any other number type.
        size: height and width of the result, or a pair (height, width).
        crop_fraction: side of the result as a share of the box; 1 for no margin.
        scale: factor that brings the values to 0-255: 255 for images scaled to 0-1, 1
            for images that are 0-255 already. By default values are taken as 0-255,
            and float images that are obviously scaled to 0-1 are refused.

    Returns:
        A float32 tensor (height, width, channels) for one image, else
        (batch, height, width, channels); whole numbers from 0 to 255. On another
        backend than TensorFlow a NumPy array, unless the images are TensorFlow's.

    Raises:
        ValueError: if the rank is wrong, there are no images, values are not numbers or
            not within 0-255 or look scaled to 0-1 (both checked outside `tf.function`
            and `tf.data`), the size is below 1, the crop fraction is outside 0-1, or
            the scale is not positive.

    Example:
        >>> import numpy as np
        >>> from keras_tnt.images import preprocess_input
        >>> preprocess_input(np.zeros((300, 400, 3), "uint8")).shape
        TensorShape([224, 224, 3])
    """
    height_and_width = check_size("`size`", size)
    if not 0 < crop_fraction <= 1:
        raise ValueError(
            f"`crop_fraction` must be above 0 and at most 1; got {crop_fraction!r}."
        )
    if scale is not None and not 0 < scale < math.inf:
        raise ValueError(f"`scale` must be positive, such as 255; got {scale!r}.")
    box = [math.floor(side / crop_fraction) for side in height_and_width]
    if isinstance(images, list | tuple):
        checked = [_checked(image, (3,), scale) for image in images]
        channels = {image.shape[-1] for image in checked}
        if len(channels) != 1:
            raise ValueError(
                "Expected one or more images with the same number of channels; got "
                f"{len(checked)} images with {sorted(channels, key=str)} channels."
            )
        stack = tf.stack if uses_tensorflow(checked[0]) else np.stack
        return stack(
            [_resize_and_crop(p[None], height_and_width, box)[0] for p in checked]
        )
    batch = _checked(images, (3, 4), scale)
    if len(batch.shape) == 3:
        return _resize_and_crop(batch[None], height_and_width, box)[0]
    return _resize_and_crop(batch, height_and_width, box)


def _checked(images, ranks, scale):
    """The images as a tensor or array of values 0-255, or an error."""
    images = _as_tensor(images)
    dtype, shape = images.dtype.name, images.shape
    if not (_is_float(images) or "int" in dtype):
        raise ValueError(
            f"Images must be numbers, uint8 or float, 0-255; got {dtype}. "
            "`load_image` reads files, `decode_image` decodes their contents."
        )
    rank = shape.rank if hasattr(shape, "rank") else len(shape)
    if rank is None:
        raise ValueError(
            "The images have an unknown number of axes: they can be one image or a "
            "batch. Set their shape first: "
            "`images.set_shape((None, None, 3))` for an image, "
            "`images.set_shape((None, None, None, 3))` for a batch."
        )
    if rank not in ranks or 0 in shape[-3:]:
        raise ValueError(
            "Expected an image (height, width, channels), a batch (batch, height, "
            "width, channels) or a list of images, none of them empty; got shape "
            f"{shape}. A gray image needs a channel axis: `image[..., None]`."
        )
    if scale is None:
        check_scale(images)
    elif scale != 1:
        images = _as_float(images) * scale
    values = None if dtype == "uint8" else _known_values(images)
    # A comparison with NaN is false.
    if values is not None and not np.all((values >= 0) & (values <= 255)):
        scaled = "" if scale in (None, 1) else f" after scaling by {scale:g}"
        raise ValueError(
            f"Images must have values from 0 to 255; this {dtype} image has "
            f"{values.min():g} to {values.max():g}{scaled}."
        )
    return images


def _as_tensor(images):
    """A tensor of TensorFlow or, on the other backends, an array."""
    if uses_tensorflow(images):
        return tf.convert_to_tensor(images)
    return np.asarray(keras.ops.convert_to_numpy(images))


def _is_float(images):
    return "float" in images.dtype.name


def _as_float(images):
    if isinstance(images, np.ndarray):
        return images.astype("float32")
    return tf.cast(images, tf.float32)


def _known_values(images):
    """The values as a float32 array; `None` inside `tf.function` and `tf.data`."""
    if isinstance(images, np.ndarray) or tf.executing_eagerly():
        return np.asarray(_as_float(images))
    return None


def check_scale(images: ArrayLike) -> None:
    """Refuse images that were scaled to 0-1 or ±1: they have fractions, none above 1.

    Images of zeros and ones and images of integers pass, and those inside
    `tf.function` and `tf.data`, whose values are not known.

    Args:
        images: an array or tensor of numbers.

    Raises:
        ValueError: if the images were scaled.
    """
    pixels = _as_tensor(images)
    values = _known_values(pixels) if _is_float(pixels) else None
    if values is None or not values.size:
        return
    lowest, highest = values.min(), values.max()
    if max(-lowest, highest) > 1 or not np.any(values != np.floor(values)):
        return
    if lowest < 0:
        raise ValueError(
            "Images must have values from 0 to 255, because the model scales them "
            f"itself; these have {lowest:g} to {highest:g} and seem to be scaled to "
            "±1. Pass them unscaled, or scale them back: `127.5 * (images + 1)`."
        )
    raise ValueError(
        f"These images seem to be scaled to 0-1: they have values from {lowest:g} to "
        f"{highest:g}. Expected values from 0 to 255, because the model scales them "
        "itself. Pass them unscaled, or multiply them by 255, as "
        "`preprocess_input(images, scale=255)` does."
    )


def _resize_and_crop(images, size, box):
    if isinstance(images, np.ndarray):
        return resize_and_crop(images, size, box)
    old = tf.shape(images, tf.int64)[1:3]
    # One side equals that of the box, the other covers it.
    new = tf.where(
        box[0] * old[1] >= box[1] * old[0],
        [box[0], box[0] * old[1] // old[0]],
        [box[1] * old[0] // old[1], box[1]],
    )
    scale = tf.cast(new, tf.float32) / tf.cast(old, tf.float32)
    corner = tf.round(tf.cast(new - size, tf.float32) / 2)
    # The kernel reaches two pixels of the coarser image; one more for rounding.
    reach = 2 / tf.minimum(scale, 1.0) + 1
    first = tf.maximum(tf.floor(corner / scale - reach), 0)
    end = tf.math.ceil((corner + size) / scale + reach)
    top, left = tf.unstack(tf.cast(first, tf.int64))
    bottom, right = tf.unstack(tf.cast(end, tf.int64))
    images = images[:, top:bottom, left:right]
    translation = first * scale - corner

    def resample_rows(images, axis):
        """Resample the rows of images to this axis of the crop."""
        batch, rows, columns, channels = tf.unstack(tf.shape(images))
        # A row is one pixel with many channels: the op vectorizes over channels.
        resampled = tf.raw_ops.ScaleAndTranslate(
            images=tf.reshape(images, [batch, rows, 1, columns * channels]),
            size=[size[axis], 1],
            scale=tf.stack([scale[axis], 1.0]),
            translation=tf.stack([translation[axis], 0.0]),
            kernel_type="keyscubic",
            antialias=True,
        )
        levels = tf.clip_by_value(tf.floor(resampled + 0.5), 0.0, 255.0)
        return tf.reshape(levels, [batch, size[axis], columns, channels])

    # The op reads bytes as they are: floats would take four times the memory.
    if images.dtype != tf.uint8:
        images = tf.cast(images, tf.float32)
    # Only the pixels of the crop are computed, so a very long image costs no memory.
    columns = resample_rows(tf.transpose(images, (0, 2, 1, 3)), axis=1)
    resized = resample_rows(tf.transpose(columns, (0, 2, 1, 3)), axis=0)
    resized.set_shape([images.shape[0], *size, images.shape[-1]])
    return resized
