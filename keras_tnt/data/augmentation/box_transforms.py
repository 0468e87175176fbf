"""Decoding and transforming an image together with the boxes of its objects."""

from __future__ import annotations

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.data.augmentation.mask_transforms import resize_image
from keras_tnt.data.augmentation.transforms import (
    SEEDS,
    Seeds,
    change_colors,
    crop_box,
    decode_traced,
    resize_crop,
    to_channels,
    uniform,
)
from keras_tnt.data.box_source import BoxSource, decode_objects
from keras_tnt.utils.lazy import tensorflow as tf

NO_OBJECT = -1  # class of the boxes of zeros that fill a batch


def training_objects(
    contents: tf.Tensor,
    objects: tf.Tensor,
    seeds: tf.Tensor,
    augmentation: Augmentation,
    shape: tuple[int, int, int],
    source: BoxSource,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decode and augment an image and the boxes of its objects.

    Both are cropped and mirrored alike. A crop keeps an object if the center of its box
    is inside, as in SSD (arXiv 1512.02325, section 2.2). Crowds are left out.

    Args:
        contents: an encoded image, a scalar string tensor.
        objects: its encoded objects, a scalar string tensor.
        seeds: an integer tensor (`SEEDS`, 2).
        augmentation: an `Augmentation`. Without `crop_scale`, the whole image is
            resized.
        shape: height, width and channels of the result; 1 channel is gray, 3 are color.
        source: the source, for its classes and its number of boxes.

    Returns:
        A float32 tensor of that shape, whole numbers 0-255; the boxes, float32
        (max_boxes, 4) [left, top, right, bottom] in pixels of the result; and their
        classes, int32 (max_boxes,), -1 for the boxes of zeros that fill the rest.
    """
    seeds = Seeds(*tf.unstack(seeds, SEEDS))
    image, boxes, classes = _decoded(contents, objects, source)
    if augmentation.crop_scale is None:
        image, boxes = _resized(image, boxes, shape)
    else:
        full = tf.shape(image)
        top, left, height, width = crop_box(full[0], full[1], seeds, augmentation)
        image = image[top : top + height, left : left + width]
        image = resize_crop(
            to_channels(image, shape[2]), seeds, augmentation, shape[:2]
        )
        corner = tf.cast(tf.stack([left, top]), tf.float32)
        size = tf.cast(tf.stack([width, height]), tf.float32)
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2 - corner
        kept = tf.reduce_all((centers > 0) & (centers < size), axis=1)
        boxes = tf.boolean_mask(boxes, kept) - tf.tile(corner, [2])
        boxes = tf.clip_by_value(boxes, 0.0, tf.tile(size, [2]))
        boxes = _scaled(boxes, size, shape)
        classes = tf.boolean_mask(classes, kept)
    if augmentation.flip:
        width = tf.constant(shape[1], tf.float32)
        left, top, right, bottom = tf.unstack(boxes, 4, axis=1)
        flipped = tf.stack([width - right, top, width - left, bottom], axis=1)
        image, boxes = tf.cond(
            uniform(seeds.flip, ()) < augmentation.flip,
            lambda: (tf.reverse(image, [1]), flipped),
            lambda: (image, boxes),
        )
    image = change_colors(image, seeds, augmentation)
    return tf.ensure_shape(image, shape), *_filled(boxes, classes, source.max_boxes)


def evaluation_objects(
    contents: tf.Tensor,
    objects: tf.Tensor,
    shape: tuple[int, int, int],
    source: BoxSource,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decode an image and its objects, and resize the whole image.

    Args:
        contents: as in `training_objects`, like all others.
        objects: the encoded objects.
        shape: shape of the image.
        source: the source.

    Returns:
        As in `training_objects`.
    """
    image, boxes, classes = _decoded(contents, objects, source)
    image, boxes = _resized(image, boxes, shape)
    return image, *_filled(boxes, classes, source.max_boxes)


def image_with_size(
    contents: tf.Tensor, shape: tuple[int, int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode an image, and resize all of it.

    Args:
        contents: an encoded image, a scalar string tensor.
        shape: height, width and channels of the result.

    Returns:
        A float32 tensor of that shape, whole numbers 0-255, and height and width of the
        image before, int32 (2,).
    """
    image = decode_traced(contents)
    return resize_image(image, shape), tf.shape(image)[:2]


def _decoded(contents, objects, source):
    """An image, and boxes and classes of its objects without crowds."""
    image = decode_traced(contents)
    found = decode_objects(source, objects, tf.shape(image)[:2])
    found = tf.boolean_mask(found, found[:, 5] == 0)
    return image, found[:, :4], tf.cast(found[:, 4], tf.int32)


def _resized(image, boxes, shape):
    size = tf.cast(tf.shape(image)[1::-1], tf.float32)  # width and height
    return resize_image(image, shape), _scaled(boxes, size, shape)


def _scaled(boxes, size, shape):
    """Boxes of an image of a size (width, height) at the size of a shape."""
    factors = tf.constant(shape[1::-1], tf.float32) / size
    return boxes * tf.tile(factors, [2])


def _filled(boxes, classes, most):
    """A fixed number of boxes and classes."""
    missing = most - tf.shape(boxes)[0]
    boxes = tf.pad(boxes, [[0, missing], [0, 0]])
    classes = tf.pad(classes, [[0, missing]], constant_values=NO_OBJECT)
    return tf.ensure_shape(boxes, (most, 4)), tf.ensure_shape(classes, (most,))
