"""Decoding and transforming an image together with its mask."""

from __future__ import annotations

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.data.augmentation.transforms import (
    SEEDS,
    Seeds,
    change_colors,
    crop_box,
    decode_and_crop,
    decode_traced,
    resize_crop,
    to_channels,
    uniform,
)
from keras_tnt.data.mask_decoding import decode_mask
from keras_tnt.data.mask_source import MaskSource
from keras_tnt.utils.lazy import tensorflow as tf

# Settings that would have to mix or move masks or boxes in ways that are not
# implemented.
NOT_FOR_DENSE = ("rand_augment", "random_erasing", "mixup", "cutmix")


def check_dense_augmentation(augmentation: Augmentation, targets: str) -> None:
    """Raise a `ValueError` if an augmentation cannot move targets along.

    Args:
        augmentation: the augmentation.
        targets: what has to be moved, such as `"masks"`, for the message.
    """
    for name in NOT_FOR_DENSE:
        if getattr(augmentation, name):
            raise ValueError(
                f"{name}={getattr(augmentation, name)} is not available for {targets}. "
                "Set it to 0. Crops, flips, three_augment and color_jitter are "
                "available."
            )


def training_pair(
    contents: tf.Tensor,
    mask: tf.Tensor,
    seeds: tf.Tensor,
    augmentation: Augmentation,
    shape: tuple[int, int, int],
    source: MaskSource,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode and augment an image and its mask.

    Both are cropped and mirrored alike. Masks are resized to the nearest neighbour.

    Args:
        contents: an encoded image, a scalar string tensor.
        mask: its encoded mask, a scalar string tensor.
        seeds: an integer tensor (`SEEDS`, 2).
        augmentation: an `Augmentation`. Without `crop_scale`, the whole image is
            resized.
        shape: height, width and channels of the result; 1 channel is gray, 3 are color.
        source: the source, for its classes.

    Returns:
        A float32 tensor of that shape, whole numbers 0-255, and the class of each
        pixel, int32 (height, width).
    """
    seeds = Seeds(*tf.unstack(seeds, SEEDS))
    classes = decode_mask(source, mask)
    if augmentation.crop_scale is None:
        image = _resized_image(contents, classes, shape)
    else:
        rows, columns = tf.unstack(tf.shape(classes))
        top, left, height, width = crop_box(rows, columns, seeds, augmentation)

        def choose_box(*size):
            with tf.control_dependencies([_assert_size(size, classes)]):
                return tuple(map(tf.identity, (top, left, height, width)))

        image = to_channels(decode_and_crop(contents, choose_box), shape[2])
        image = resize_crop(image, seeds, augmentation, shape[:2])
        classes = classes[top : top + height, left : left + width]
    classes = resize_classes(classes, shape[:2])
    if augmentation.flip:
        mirrored = uniform(seeds.flip, ()) < augmentation.flip
        image, classes = tf.cond(
            mirrored,
            lambda: (tf.reverse(image, [1]), tf.reverse(classes, [1])),
            lambda: (image, classes),
        )
    image = change_colors(image, seeds, augmentation)
    return tf.ensure_shape(image, shape), tf.ensure_shape(classes, shape[:2])


def evaluation_pair(
    contents: tf.Tensor,
    mask: tf.Tensor,
    shape: tuple[int, int, int],
    source: MaskSource,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode an image and its mask, and resize the whole image.

    Args:
        contents: an encoded image, a scalar string tensor.
        mask: its encoded mask, a scalar string tensor.
        shape: height, width and channels of the image.
        source: the source, for its classes.

    Returns:
        A float32 tensor of that shape, whole numbers 0-255, and the class of each
        pixel at the mask's own size, int32.
    """
    classes = decode_mask(source, mask)
    return _resized_image(contents, classes, shape), classes


def resize_classes(classes: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Resize classes, int32 (height, width), to the nearest neighbour."""
    resized = tf.image.resize(classes[..., tf.newaxis], size, "nearest")
    return tf.ensure_shape(resized[..., 0], size)


def resize_image(image: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
    """Resize a whole image: bicubic, with antialias, rounded.

    Args:
        image: a tensor (height, width, 3), 0-255.
        shape: height, width and channels of the result; 1 channel is gray, 3 are color.

    Returns:
        A float32 tensor of that shape, whole numbers 0-255.
    """
    image = to_channels(image, shape[2])

    def resize():
        resized = tf.image.resize(image, shape[:2], "bicubic", antialias=True)
        return tf.clip_by_value(tf.round(resized), 0.0, 255.0)

    # Small images often have the right size already.
    fits = tf.reduce_all(tf.shape(image) == shape)
    image = tf.cond(fits, lambda: tf.cast(image, tf.float32), resize)
    return tf.ensure_shape(image, shape)


def _resized_image(contents, classes, shape):
    image = decode_traced(contents)
    size = tf.unstack(tf.shape(image)[:2])
    with tf.control_dependencies([_assert_size(size, classes)]):
        return resize_image(tf.identity(image), shape)


def _assert_size(size, classes):
    """An op that fails if a mask has another size than its image."""
    same = tf.reduce_all(tf.stack(size) == tf.shape(classes))
    return tf.debugging.Assert(same, ["The mask has another size than the image."])
