"""RandAugment with the fifteen operations of the paper's recipe, stateless.

Images are float32 with whole numbers 0-255: that is faster here than uint8. All
operations give what Pillow gives, but for the rotated and moved ones' borders.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from keras_tnt.data.augmentation.config import Augmentation
from keras_tnt.data.augmentation.enhance import (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    enhance,
)
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.lazy import tf_function
from keras_tnt.utils.typing import Tensor

FILL_VALUE = 128.0  # of pixels from outside the image: the mean of the models' scaling


def rand_augment(
    image: tf.Tensor,
    operations_seed: Tensor,
    magnitudes_seed: Tensor,
    augmentation: Augmentation,
    layer: Any = None,
) -> tf.Tensor:
    """Apply random operations of random magnitude, one after the other.

    Severities increase with the magnitude, as in timm's `rand-m9-mstd0.5-inc1`. The
    first three of `OPERATIONS` have no severity.

    Args:
        image: float32 (height, width, channels), whole numbers 0-255, of static shape.
        operations_seed: seed of the choice of operations, a pair of integers.
        magnitudes_seed: seed of the magnitudes, a pair of integers.
        augmentation: an `Augmentation` with number and magnitude of the operations.
        layer: the layer from `keras_cv_layer` that takes the place of the operations.

    Returns:
        An image of the same shape, whole numbers 0-255.
    """
    if layer is not None:
        # The layer needs three channels, and autograph, which is off elsewhere.
        color = tf.repeat(image, 3 // image.shape[-1], axis=-1)
        color = tf.function(lambda image: layer(image))(color)
        return tf.round(color[..., : image.shape[-1]])
    number = augmentation.rand_augment
    draws = tf.random.stateless_uniform((number, 3), operations_seed)
    levels = tf.random.stateless_normal(
        (number,),
        magnitudes_seed,
        augmentation.rand_augment_magnitude,
        augmentation.rand_augment_std,
    )
    levels = tf.clip_by_value(levels, 0.0, 10.0) / 10
    for (chance, choice, sign), level in zip(
        [tf.unstack(draw) for draw in tf.unstack(draws)],
        tf.unstack(levels),
        strict=True,
    ):
        chosen = tf.cast(choice * len(OPERATIONS), tf.int32)
        sign = tf.where(sign < 0.5, -1.0, 1.0)
        # The last branch applies no operation.
        applied = chance < augmentation.rand_augment_probability
        chosen = tf.where(applied, chosen, len(OPERATIONS))
        image = apply_operation(image, chosen, level, sign)
    return image


# A separate function is traced once, not once for each operation drawn.
@tf_function(autograph=False)
def apply_operation(
    image: tf.Tensor, number: tf.Tensor, level: tf.Tensor, sign: tf.Tensor
) -> tf.Tensor:
    """Apply one operation.

    Args:
        image: float32 (height, width, channels), whole numbers 0-255, of static shape.
        number: of the operation in `OPERATIONS`, an int32 tensor; if there is none of
            that number, the image stays as it is.
        level: the magnitude, 0 to 1, a tensor.
        sign: -1 or 1, a tensor: which way, where there are two.

    Returns:
        An image of the same shape, whole numbers 0-255.
    """
    branches = [
        functools.partial(operation, image, level, sign) for operation in OPERATIONS
    ]
    return tf.switch_case(number, [*branches, lambda: image])


def _autocontrast(image, level, sign):
    """Stretch each channel to 0-255."""
    low = tf.reduce_min(image, axis=(0, 1))
    high = tf.reduce_max(image, axis=(0, 1))
    scale = tf.math.divide_no_nan(255.0, high - low)
    stretched = tf.floor(image * scale - low * scale)
    return tf.where(high > low, tf.clip_by_value(stretched, 0.0, 255.0), image)


def _equalize(image, level, sign):
    """Equalize the histogram of each channel."""
    channels = image.shape[-1]
    numbers = tf.cast(image, tf.int32) + 256 * tf.range(channels)
    counts = tf.math.bincount(
        tf.reshape(numbers, [-1]), minlength=256 * channels, maxlength=256 * channels
    )
    counts = tf.reshape(counts, [channels, 256])
    below = tf.cumsum(counts, axis=1, exclusive=True)
    # Pillow does not count the brightest value in the step.
    total = tf.reduce_sum(counts, axis=1, keepdims=True)
    brightest = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0), axis=1)
    last = tf.gather(counts, brightest, axis=1, batch_dims=1)[:, tf.newaxis]
    step = (total - last) // 255
    table = tf.minimum((below + step // 2) // tf.maximum(step, 1), 255)
    table = tf.where(step > 0, table, tf.range(256))
    return tf.gather(tf.reshape(tf.cast(table, tf.float32), [-1]), numbers)


def _invert(image, level, sign):
    return 255.0 - image


def _posterize(image, level, sign):
    """Keep 4 high bits, down to none."""
    unit = tf.pow(2.0, 4 + tf.floor(4 * level))
    return tf.floor(image / unit) * unit


def _solarize(image, level, sign):
    """Invert the bright pixels, from none to all."""
    return solarize(image, 256 - tf.floor(256 * level))


def solarize(image: tf.Tensor, threshold: Tensor) -> tf.Tensor:
    """Invert the pixels of a threshold or more, each channel by itself."""
    return tf.where(image < threshold, image, 255 - image)


def _solarize_add(image, level, sign):
    """Make the dark pixels brighter."""
    brighter = tf.minimum(image + tf.floor(110 * level), 255.0)
    return tf.where(image < 128, brighter, image)


def _color(image, level, sign):
    return adjust_saturation(image, _factor(level, sign))


def _contrast(image, level, sign):
    return adjust_contrast(image, _factor(level, sign))


def _brightness(image, level, sign):
    return adjust_brightness(image, _factor(level, sign))


def _sharpness(image, level, sign):
    """Move away from, or towards, the smoothed image; the border stays unchanged."""
    rows = image[:-2] + image[1:-1] + image[2:]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * image[1:-1, 1:-1]
    smooth = tf.floor(sums / 13 + 0.5)
    inner = enhance(image[1:-1, 1:-1], smooth, _factor(level, sign))
    middle = tf.concat([image[1:-1, :1], inner, image[1:-1, -1:]], axis=1)
    return tf.concat([image[:1], middle, image[-1:]], axis=0)


def _rotate(image, level, sign):
    """Rotate by up to 30 degrees around the center."""
    angle = -sign * level * math.radians(30)
    cos, sin = tf.cos(angle), tf.sin(angle)
    x, y = image.shape[1] / 2, image.shape[0] / 2
    return _warp(
        image,
        (cos, sin, x - cos * x - sin * y),
        (-sin, cos, y + sin * x - cos * y),
    )


def _shear_x(image, level, sign):
    return _warp(image, (1.0, 0.3 * level * sign, 0.0), (0.0, 1.0, 0.0))


def _shear_y(image, level, sign):
    return _warp(image, (1.0, 0.0, 0.0), (0.3 * level * sign, 1.0, 0.0))


def _translate_x(image, level, sign):
    distance = 0.45 * level * sign * image.shape[1]
    return _warp(image, (1.0, 0.0, distance), (0.0, 1.0, 0.0))


def _translate_y(image, level, sign):
    distance = 0.45 * level * sign * image.shape[0]
    return _warp(image, (1.0, 0.0, 0.0), (0.0, 1.0, distance))


# The result of a seed depends on this order.
OPERATIONS = (
    _autocontrast,
    _equalize,
    _invert,
    _rotate,
    _posterize,
    _solarize,
    _solarize_add,
    _color,
    _contrast,
    _brightness,
    _sharpness,
    _shear_x,
    _shear_y,
    _translate_x,
    _translate_y,
)


def _factor(level, sign):
    """The factor of enhancing; at least 10 % remains."""
    return tf.maximum(0.1, 1 + sign * 0.9 * level)


def _warp(image, x, y):
    """Affine transform with the rows of a matrix, as in Pillow."""
    # Pillow measures from the corner of the first pixel, TensorFlow from its center.
    rows = [(a, b, 0.5 * (a + b) + c - 0.5) for a, b, c in (x, y)]
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=tf.stack([tf.stack([*rows[0], *rows[1], 0.0, 0.0])]),
        output_shape=image.shape[:2],
        fill_value=FILL_VALUE,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(tf.round(warped[0]), image.shape)


def keras_cv_layer(augmentation: Augmentation) -> Any:
    """Return a new RandAugment layer of keras_cv, if the augmentation asks for it.

    It draws from a state of its own: what an image gets depends on those before it. So
    every data set needs its own layer.

    Args:
        augmentation: an `Augmentation` with number and magnitude of the operations.

    Returns:
        A Keras layer for images 0-255; `None` if the policy is another one.

    Raises:
        ImportError: if keras_cv is not installed.
    """
    if not augmentation.rand_augment or augmentation.rand_augment_policy != "keras_cv":
        return None
    try:
        import keras_cv
    except ImportError as error:
        raise ImportError(
            'rand_augment_policy="keras_cv" needs keras_cv, which could not be '
            'imported. Install it: pip install "keras-tnt[train]"'
        ) from error
    return keras_cv.layers.RandAugment(
        (0, 255),
        augmentation.rand_augment,
        augmentation.rand_augment_magnitude / 10,
        magnitude_stddev=0.05,
    )
