"""Eight images through the pipeline and through the published order of augmentation."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from keras_tnt.data import IMAGENET_AUGMENTATION, ImageSource, image_dataset
from keras_tnt.data.augmentation.mixup_cutmix import _draw
from keras_tnt.data.augmentation.rand_augment import OPERATIONS, apply_operation
from keras_tnt.data.augmentation.transforms import SEEDS, Seeds
from keras_tnt.data.sampler import sample_index
from keras_tnt.data.source import lookup
from tests.helpers.datasets import encoded, photo

SEED, STEPS = 5, 6
HEIGHT, WIDTH = 24, 20
# Crops of a quarter of the area and of the output's shape: resizing changes nothing.
AUGMENTATION = dataclasses.replace(
    IMAGENET_AUGMENTATION,
    crop_scale=(0.25, 0.25),
    crop_ratio=(WIDTH / HEIGHT, WIDTH / HEIGHT),
    random_erasing=0.5,
    repeats=1,
)
IMAGES = [np.roll(photo(2 * HEIGHT, 2 * WIDTH), 9 * n, axis=1) for n in range(8)]


def uniform(seed, *shape):
    return tf.random.stateless_uniform(shape, seed).numpy()


def crop_and_flip(image, seeds):
    free = np.array([HEIGHT + 1, WIDTH + 1], "float32")
    top, left = (uniform(seeds.crop_place, 2) * free).astype(int)
    image = image[top : top + HEIGHT, left : left + WIDTH]
    return image[:, ::-1] if uniform(seeds.flip) < 0.5 else image


def rand_augment(image, seeds):
    """Two operations with replacement; `test_rand_augment` has them against Pillow."""
    magnitudes = tf.random.stateless_normal((2,), seeds.magnitudes, 9.0, 0.5).numpy()
    draws = uniform(seeds.operations, 2, 3)
    for (chance, choice, sign), magnitude in zip(draws, magnitudes, strict=True):
        if chance < 0.5:
            number = int(choice * len(OPERATIONS))
            level = np.float32(min(max(magnitude, 0), 10) / 10)
            sign = -1.0 if sign < 0.5 else 1.0
            arguments = [tf.constant(value) for value in (number, level, sign)]
            image = apply_operation(tf.constant(image, tf.float32), *arguments).numpy()
    return image.astype("uint8")


def mix(images, labels, weight, box):
    """MixUp, rounded to whole levels, or CutMix, with the group reversed."""
    (top, left), (bottom, right) = box
    if weight < 1:
        blend = images * weight + images[::-1] * (1 - weight)
        return np.round(blend).astype("uint8"), labels * weight + labels[::-1] * (
            1 - weight
        )
    mixed = images.copy()
    mixed[:, top:bottom, left:right] = images[::-1, top:bottom, left:right]
    share = 1 - (bottom - top) * (right - left) / (HEIGHT * WIDTH)
    return mixed, labels * share + labels[::-1] * (1 - share)


def erased_box(seeds):
    """Ten tries of a rectangle that is smaller than the image."""
    for area, ratio in uniform(seeds.erased_size, 10, 2):
        area = HEIGHT * WIDTH * (0.02 + (1 / 3 - 0.02) * area)
        ratio = math.exp(math.log(0.3) + ratio * (math.log(1 / 0.3) - math.log(0.3)))
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if height < HEIGHT and width < WIDTH:
            place = uniform(seeds.erased_place, 2)
            top = int(place[0] * (HEIGHT - height + 1))
            left = int(place[1] * (WIDTH - width + 1))
            return slice(top, top + height), slice(left, left + width)
    return slice(0), slice(0)


def erase(image, seeds):
    """Fill a rectangle of a normalized image with noise; say which pixels."""
    mask = np.zeros(image.shape, bool)
    if uniform(seeds.erasing) < 0.5:
        mask[erased_box(seeds)] = True
    noise = tf.random.stateless_normal(image.shape, seeds.noise).numpy()
    # The official noise is not clipped, which is a documented difference.
    return np.where(mask, noise.clip(-1, 1), image), mask


def replay(step):
    """The published order, with the draws of a step."""
    seed = tf.constant([SEED, 2 * step], tf.int64)
    all_seeds = tf.random.stateless_uniform((8, SEEDS, 2), seed, None, None, tf.int32)
    seeds = [Seeds(*tf.unstack(one)) for one in all_seeds]
    epoch, positions = tf.constant(step, tf.int64), tf.range(8, dtype=tf.int64)
    indices = sample_index(positions, epoch, 8, SEED).numpy()
    images = [
        rand_augment(crop_and_flip(IMAGES[i], s), s)
        for i, s in zip(indices, seeds, strict=True)
    ]
    seed = tf.constant([SEED, 2 * step + 1], tf.int64)
    (seed,) = tf.random.stateless_uniform((1, 2), seed, None, None, tf.int32)
    weights, boxes = _draw(seed, 8, (HEIGHT, WIDTH), AUGMENTATION)
    labels = 0.9 * np.eye(8)[indices] + 0.1 / 8
    mixed, labels = mix(np.stack(images), labels, weights[0].numpy(), boxes[0].numpy())
    normalized = (mixed / 255 - 0.5) / 0.5
    pairs = [erase(image, s) for image, s in zip(normalized, seeds, strict=True)]
    images, masks = (np.stack(part) for part in zip(*pairs, strict=True))
    return images, masks, mixed, labels, weights[0].numpy() < 1


def test_image_dataset__equals_the_published_order():
    contents = [encoded(image, "PNG") for image in IMAGES]
    fetch = lookup(contents, list(range(8)))
    source = ImageSource("eight", tuple("abcdefgh"), 8, fetch, tf.strings.as_string)
    dataset = image_dataset(
        source, batch_size=8, image_size=(HEIGHT, WIDTH), augmentation=AUGMENTATION,
        label_smoothing=0.1, seed=SEED, epochs=STEPS,
    )  # fmt: skip
    kinds, erased = set(), 0
    for step, (images, labels) in enumerate(dataset):
        expected, masks, mixed, expected_labels, with_mixup = replay(step)
        images = images.numpy()
        np.testing.assert_array_equal(images[~masks], mixed[~masks])
        found = images.astype("float64") / 127.5 - 1
        np.testing.assert_allclose(found[masks], expected[masks], rtol=0, atol=1e-6)
        np.testing.assert_allclose(labels, expected_labels, atol=1e-6)
        kinds.add(with_mixup)
        erased += masks.any(axis=(1, 2, 3)).sum()
    assert kinds == {True, False}
    assert 0 < erased < 8 * STEPS
