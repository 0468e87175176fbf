"""From an encoded picture to what a model trains on or is evaluated with.

All randomness comes from explicit seeds, pairs of integers: the same seed gives the
same picture.
"""

import math

import tensorflow as tf

from keras_tnt.data.rand_augment import rand_augment
from keras_tnt.decoding import decode_image
from keras_tnt.images import preprocess_input

ATTEMPTS = 10  # at a random rectangle that fits; as many as the official code makes

# Random erasing: share of the picture's area, and height over width.
ERASED_AREA = (0.02, 1 / 3)
ERASED_RATIO = (0.3, 1 / 0.3)


def evaluation_image(contents, size, channels, crop_fraction):
    """Decodes a picture and takes its center, as in the published evaluation.

    Args:
        contents: an encoded picture, a scalar string tensor.
        size: height and width.
        channels: 1 for gray, 3 for color.
        crop_fraction: as in `keras_tnt.preprocess_input`.

    Returns:
        A float32 tensor (height, width, channels), whole numbers 0-255.
    """
    image = _to_channels(decode_image(contents), channels)
    return preprocess_input(image, size, crop_fraction)


def training_image(contents, seed, augmentation, size, channels, crop_fraction):
    """Decodes a picture and augments it, but for mixing, which needs a batch.

    Args:
        contents: an encoded picture, a scalar string tensor.
        seed: a pair of integers, a tensor.
        augmentation: an `Augmentation`.
        size: height and width.
        channels: 1 for gray, 3 for color.
        crop_fraction: of pictures that are not cropped at random.

    Returns:
        A float32 tensor (height, width, channels), 0-255; whole numbers but for the
        noise of random erasing.
    """
    crop_seed, flip_seed, policy_seed, erase_seed = tf.unstack(
        tf.random.split(seed, 4), 4
    )
    if augmentation.crop_scale is None:
        image = evaluation_image(contents, size, channels, crop_fraction)
    else:
        image = _random_crop(contents, crop_seed, augmentation, size, channels)
    if augmentation.flip:
        mirrored = _uniform(flip_seed, ()) < augmentation.flip
        image = tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
    if augmentation.rand_augment:
        image = rand_augment(image, policy_seed, augmentation)
    if augmentation.random_erasing:
        image = _random_erasing(image, erase_seed, augmentation.random_erasing)
    return tf.ensure_shape(image, (*size, channels))


def _random_crop(contents, seed, augmentation, size, channels):
    """A random rectangle of a picture, resized."""
    box_seed, method_seed = tf.unstack(tf.random.split(seed, 2), 2)

    def choose(height, width):
        return _crop_box(
            height, width, box_seed, augmentation.crop_scale, augmentation.crop_ratio
        )

    image = _to_channels(decode_and_crop(contents, choose), channels)

    def resize(method):
        return tf.image.resize(image, size, method, antialias=True)

    method = augmentation.interpolation
    if method == "random":
        resized = tf.cond(
            _uniform(method_seed, ()) < 0.5,
            lambda: resize("bilinear"),
            lambda: resize("bicubic"),
        )
    else:
        resized = resize(method)
    return tf.clip_by_value(tf.round(resized), 0.0, 255.0)


def decode_and_crop(contents, choose_box):
    """Decodes a rectangle of a picture; of a JPEG nothing else is decoded.

    Args:
        contents: an encoded picture, a scalar string tensor.
        choose_box: takes height and width of the picture and returns top, left, height
            and width of the rectangle, int32 tensors.

    Returns:
        A uint8 tensor (height, width, 3), the same that decoding all of it would give.
    """

    def crop_jpeg():
        shape = tf.io.extract_jpeg_shape(contents)
        top, left, height, width = choose_box(shape[0], shape[1])
        # Colors at the border depend on their neighbors: decode these too.
        above, before = tf.minimum(top, 2), tf.minimum(left, 2)
        bottom = tf.minimum(top + height + 2, shape[0])
        right = tf.minimum(left + width + 2, shape[1])
        window = [top - above, left - before]
        window += [bottom - window[0], right - window[1]]
        image = tf.image.decode_and_crop_jpeg(
            contents, tf.stack(window), channels=3, dct_method="INTEGER_ACCURATE"
        )
        return image[above : above + height, before : before + width]

    def crop_other():
        image = decode_image(contents)
        shape = tf.shape(image)
        top, left, height, width = choose_box(shape[0], shape[1])
        return image[top : top + height, left : left + width]

    is_jpeg = tf.equal(tf.strings.substr(contents, 0, 3), b"\xff\xd8\xff")
    image = tf.cond(is_jpeg, crop_jpeg, crop_other)
    image.set_shape((None, None, 3))
    return image


def _crop_box(height, width, seed, scale, ratio):
    """The first of ten random rectangles that fits; else a large central one."""
    size_seed, place_seed = tf.unstack(tf.random.split(seed, 2), 2)
    full = tf.cast(tf.stack([height, width]), tf.float32)
    sides = _random_sides(full, size_seed, scale, [1 / ratio[1], 1 / ratio[0]])
    fits = tf.reduce_all((sides >= 1) & (sides <= full), axis=1)
    # The largest rectangle with a permitted ratio of sides.
    fallback = tf.round(tf.minimum(full, full[::-1] * [1 / ratio[0], ratio[1]]))
    fallback = tf.maximum(fallback, 1.0)
    fitting = tf.reduce_any(fits)
    box = tf.where(fitting, sides[tf.argmax(fits)], fallback)
    free = full - box
    place = tf.floor(_uniform(place_seed, (2,)) * (free + 1))
    corner = tf.where(fitting, tf.minimum(place, free), tf.floor(free / 2))
    return tf.unstack(tf.cast(tf.concat([corner, box], 0), tf.int32), 4)


def _random_erasing(image, seed, probability):
    """Maybe fills a rectangle with noise: normal, around and as wide as all values."""
    chance, size_seed, place_seed, noise_seed = tf.unstack(tf.random.split(seed, 4), 4)
    height, width, _ = image.shape
    full = tf.constant([height, width], tf.float32)

    def erase():
        sides = _random_sides(full, size_seed, ERASED_AREA, ERASED_RATIO)
        fits = tf.reduce_all(sides < full, axis=1)
        box = tf.where(tf.reduce_any(fits), sides[tf.argmax(fits)], 0.0)
        place = tf.floor(_uniform(place_seed, (2,)) * (full - box + 1))
        top, left = tf.unstack(tf.minimum(place, full - box))
        rows = tf.range(height, dtype=tf.float32)[:, None, None]
        columns = tf.range(width, dtype=tf.float32)[None, :, None]
        inside = (rows >= top) & (rows < top + box[0])
        inside &= (columns >= left) & (columns < left + box[1])
        noise = tf.random.stateless_normal(image.shape, noise_seed, 127.5, 127.5)
        return tf.where(inside, tf.clip_by_value(noise, 0.0, 255.0), image)

    return tf.cond(_uniform(chance, ()) < probability, erase, lambda: image)


def _random_sides(full, seed, area, ratio):
    """Heights and widths of random rectangles, with log-uniform height over width."""
    draws = _uniform(seed, (ATTEMPTS, 2))
    area = tf.reduce_prod(full) * (area[0] + (area[1] - area[0]) * draws[:, :1])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratio = tf.exp(low + (high - low) * draws[:, 1:])
    return tf.round(tf.sqrt(tf.concat([area * ratio, area / ratio], axis=1)))


def _to_channels(image, channels):
    """Takes RGB as it is, or to gray as Pillow's `convert("L")` does."""
    if channels == 3:
        return image
    weights = tf.constant([19595, 38470, 7471])
    total = tf.reduce_sum(tf.cast(image, tf.int32) * weights, axis=-1, keepdims=True)
    return tf.cast((total + 32768) // 65536, tf.uint8)


def _uniform(seed, shape):
    return tf.random.stateless_uniform(shape, seed)
