"""Decoding and transforming single images, for training and for evaluation.

All randomness comes from explicit seeds, pairs of integers: the same seed gives the
same image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.data.augmentation.enhance import color_jitter
from keras_tnt.data.augmentation.rand_augment import rand_augment
from keras_tnt.data.augmentation.three_augment import three_augment
from keras_tnt.images import decode_image, preprocess_input, rgb_to_gray
from keras_tnt.images.formats.jpeg import checked_jpeg
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.lazy import tf_function
from keras_tnt.utils.typing import Tensor

ATTEMPTS = 10  # to draw a random rectangle that fits, as in the official code

# Random erasing: share of the image's area, and height over width.
ERASED_AREA = (0.02, 1 / 3)
ERASED_RATIO = (0.3, 1 / 0.3)


class Seeds(NamedTuple):
    """The seeds of one image, a pair of integers for each random choice."""

    crop_size: tf.Tensor
    crop_place: tf.Tensor
    interpolation: tf.Tensor
    flip: tf.Tensor
    operations: tf.Tensor
    magnitudes: tf.Tensor
    erasing: tf.Tensor
    erased_size: tf.Tensor
    erased_place: tf.Tensor
    noise: tf.Tensor


SEEDS = len(Seeds._fields)

# A function is traced once, not for every data set, and with `skip_corrupt` twice.
decode_traced = tf_function(lambda: [tf.TensorSpec((), tf.string)], autograph=False)(
    decode_image
)


def evaluation_image(
    contents: tf.Tensor, shape: tuple[int, int, int], crop_fraction: float
) -> tf.Tensor:
    """Decode an image and apply the evaluation transform.

    Args:
        contents: an encoded image, a scalar string tensor.
        shape: height, width and channels of the result; 1 channel is gray, 3 are color.
        crop_fraction: as in `keras_tnt.preprocess_input`.

    Returns:
        A float32 tensor of that shape, whole numbers 0-255.
    """
    image = to_channels(decode_traced(contents), shape[2])

    def preprocess():
        return preprocess_input(image, shape[:2], crop_fraction)

    if crop_fraction < 1:
        return preprocess()
    # Small images often have the right size already, which is the fastest resize.
    fits = tf.reduce_all(tf.shape(image) == shape)
    image = tf.cond(fits, lambda: tf.cast(image, tf.float32), preprocess)
    return tf.ensure_shape(image, shape)


def training_image(
    contents: tf.Tensor,
    seeds: tf.Tensor,
    augmentation: Augmentation,
    shape: tuple[int, int, int],
    crop_fraction: float,
    layer: Any = None,
) -> tf.Tensor:
    """Decode and augment an image; mixing and random erasing follow, on batches.

    Args:
        contents: an encoded image, a scalar string tensor.
        seeds: an integer tensor (`SEEDS`, 2).
        augmentation: an `Augmentation`.
        shape: height, width and channels of the result; 1 channel is gray, 3 are color.
        crop_fraction: central share of images that are not cropped at random.
        layer: the layer of keras_cv, if the augmentation asks for it.

    Returns:
        A float32 tensor of that shape, whole numbers 0-255.
    """
    seeds = Seeds(*tf.unstack(seeds, SEEDS))
    if augmentation.crop_scale is None:
        image = evaluation_image(contents, shape, crop_fraction)
    else:
        image = _random_crop(contents, seeds, augmentation, shape)
    if augmentation.flip:
        mirrored = uniform(seeds.flip, ()) < augmentation.flip
        image = tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
    if augmentation.rand_augment:
        image = rand_augment(
            image, seeds.operations, seeds.magnitudes, augmentation, layer
        )
    image = change_colors(image, seeds, augmentation)
    return tf.ensure_shape(image, shape)


def change_colors(
    image: tf.Tensor, seeds: Seeds, augmentation: Augmentation
) -> tf.Tensor:
    """Apply 3-Augment and color jitter, which do not move anything.

    RandAugment excludes both, so its seeds are free.
    """
    if augmentation.three_augment:
        image = three_augment(image, seeds.operations)
    if augmentation.color_jitter:
        image = color_jitter(image, seeds.magnitudes, augmentation.color_jitter)
    return image


def _random_crop(contents, seeds, augmentation, shape):
    """A random rectangle of an image, resized."""

    def choose_box(height, width):
        return crop_box(height, width, seeds, augmentation)

    image = to_channels(decode_and_crop(contents, choose_box), shape[2])

    return resize_crop(image, seeds, augmentation, shape[:2])


def resize_crop(
    image: tf.Tensor, seeds: Seeds, augmentation: Augmentation, size: tuple[int, int]
) -> tf.Tensor:
    """Resize a rectangle of an image by the interpolation of an augmentation.

    Args:
        image: uint8 (height, width, channels).
        seeds: the seeds of the image.
        augmentation: an `Augmentation`.
        size: height and width of the result.

    Returns:
        A float32 tensor, whole numbers 0-255.
    """

    def resize(method):
        return tf.image.resize(image, size, method, antialias=True)

    method = augmentation.interpolation
    if method == "random":
        resized = tf.cond(
            uniform(seeds.interpolation, ()) < 0.5,
            lambda: resize("bilinear"),
            lambda: resize("bicubic"),
        )
    else:
        resized = resize(method)
    return tf.clip_by_value(tf.round(resized), 0.0, 255.0)


def decode_and_crop(contents: tf.Tensor, choose_box: Callable) -> tf.Tensor:
    """Decode a rectangle of an image; of a JPEG, only this rectangle.

    Args:
        contents: an encoded image, a scalar string tensor.
        choose_box: function from height and width of the image to top, left, height
            and width of the rectangle, int32 tensors.

    Returns:
        A uint8 tensor (height, width, 3), equal to a crop of the whole decoded image.

    Raises:
        tf.errors.InvalidArgumentError: at run time, if the bytes are no image, damaged,
            or too large, as by `decode_image`.
    """

    def crop_jpeg():
        encoded = checked_jpeg(contents)
        shape = tf.io.extract_jpeg_shape(encoded)
        top, left, height, width = choose_box(shape[0], shape[1])
        # Colors at the border depend on their neighbors: decode these too.
        above, before = tf.minimum(top, 2), tf.minimum(left, 2)
        bottom = tf.minimum(top + height + 2, shape[0])
        right = tf.minimum(left + width + 2, shape[1])
        window = [top - above, left - before]
        window += [bottom - window[0], right - window[1]]
        image = tf.image.decode_and_crop_jpeg(
            encoded, tf.stack(window), channels=3, dct_method="INTEGER_ACCURATE"
        )
        return image[above : above + height, before : before + width]

    def crop_other():
        image = decode_traced(contents)
        shape = tf.shape(image)
        top, left, height, width = choose_box(shape[0], shape[1])
        return image[top : top + height, left : left + width]

    is_jpeg = tf.equal(tf.strings.substr(contents, 0, 3), b"\xff\xd8\xff")
    image = tf.cond(is_jpeg, crop_jpeg, crop_other)
    image.set_shape((None, None, 3))
    return image


def crop_box(
    height: tf.Tensor, width: tf.Tensor, seeds: Seeds, augmentation: Augmentation
) -> list[tf.Tensor]:
    """Return the first of ten random rectangles that fits, or a large central one.

    Args:
        height: height of the image, an int32 scalar.
        width: its width.
        seeds: the seeds of the image.
        augmentation: an `Augmentation` with a `crop_scale`.

    Returns:
        Top, left, height and width of the rectangle, int32 scalars.
    """
    low, high = augmentation.crop_ratio
    full = tf.cast(tf.stack([height, width]), tf.float32)
    sides = _random_sides(
        full, seeds.crop_size, augmentation.crop_scale, (1 / high, 1 / low)
    )
    fits = tf.reduce_all((sides >= 1) & (sides <= full), axis=1)
    # The largest rectangle with a permitted ratio of sides.
    central = tf.round(tf.minimum(full, full[::-1] * [1 / low, high]))
    found = tf.reduce_any(fits)
    box = tf.where(found, sides[tf.argmax(fits)], tf.maximum(central, 1.0))
    free = full - box
    place = tf.floor(uniform(seeds.crop_place, (2,)) * (free + 1))
    corner = tf.where(found, tf.minimum(place, free), tf.floor(free / 2))
    return tf.unstack(tf.cast(tf.concat([corner, box], 0), tf.int32), 4)


def random_erasing(images: Tensor, seeds: Tensor, probability: float) -> tf.Tensor:
    """Fill a rectangle of some images with noise, a draw for each image.

    The noise is normal for every pixel and channel, with mean and standard deviation
    127.5, and clipped to 0-255.

    Args:
        images: float32 (batch, height, width, channels), 0-255, of static shape.
        seeds: integers (batch, `SEEDS`, 2), those of the images.
        probability: the probability that an image has such a rectangle.

    Returns:
        Images of the same shape.
    """

    def erase(image_and_seeds):
        image, seeds = image_and_seeds
        return _random_erasing(image, Seeds(*tf.unstack(seeds, SEEDS)), probability)

    return tf.map_fn(erase, (images, seeds), fn_output_signature=images.dtype)


def _random_erasing(image, seeds, probability):
    height, width, _ = image.shape
    full = tf.constant([height, width], tf.float32)

    def erase():
        sides = _random_sides(full, seeds.erased_size, ERASED_AREA, ERASED_RATIO)
        fits = tf.reduce_all(sides < full, axis=1)
        box = tf.where(tf.reduce_any(fits), sides[tf.argmax(fits)], 0.0)
        place = tf.floor(uniform(seeds.erased_place, (2,)) * (full - box + 1))
        top, left = tf.unstack(tf.minimum(place, full - box))
        rows = tf.range(height, dtype=tf.float32)[:, None, None]
        columns = tf.range(width, dtype=tf.float32)[None, :, None]
        inside = (rows >= top) & (rows < top + box[0])
        inside &= (columns >= left) & (columns < left + box[1])
        noise = tf.random.stateless_normal(image.shape, seeds.noise, 127.5, 127.5)
        return tf.where(inside, tf.clip_by_value(noise, 0.0, 255.0), image)

    return tf.cond(uniform(seeds.erasing, ()) < probability, erase, lambda: image)


def _random_sides(full, seed, area, ratio):
    """Heights and widths of random rectangles with log-uniform aspect ratio."""
    draws = uniform(seed, (ATTEMPTS, 2))
    area = tf.reduce_prod(full) * (area[0] + (area[1] - area[0]) * draws[:, :1])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratio = tf.exp(low + (high - low) * draws[:, 1:])
    return tf.round(tf.sqrt(tf.concat([area * ratio, area / ratio], axis=1)))


def to_channels(image: tf.Tensor, channels: int) -> tf.Tensor:
    """Return an RGB image unchanged, or converted to gray for one channel."""
    return image if channels == 3 else rgb_to_gray(image)


def uniform(seed: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Return uniform random numbers from 0 to 1, the same for the same seed."""
    return tf.random.stateless_uniform(shape, seed)
