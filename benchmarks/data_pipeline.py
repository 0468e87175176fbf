"""Compare the speed of the training data pipeline with keras_cv and keras.

    python benchmarks/data_pipeline.py

Makes JPEGs like ImageNet's (500x375 and 375x500, from the photographs in
`tests/assets`) and measures batches of the paper's ImageNet recipe in three ways:

- `keras_tnt`: this package's `image_dataset`;
- `keras_cv`: the same decoding, cropping and resizing, then keras_cv's layers on
  batches: RandAugment, CutMix and MixUp;
- `keras`: the same, then keras's own layers: RandAugment, RandomErasing, CutMix, MixUp.

All three decode, crop, resize and flip with the same code, and use all cores. They take
turns, so that other load affects all of them. Only the ratios are meaningful. The
result is `benchmarks/results/data_pipeline.json`.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from keras_tnt.data import IMAGENET_AUGMENTATION, image_dataset

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "data_pipeline.json"
CLASSES = 4


def main():
    """Measure, print the medians and write the raw result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=6, help="timed per round")
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        make_photos(Path(directory), 64)
        feeds = {
            "keras_tnt": ours(directory, options.batch_size),
            "keras_cv": others(directory, options.batch_size, keras_cv_layers()),
            "keras": others(directory, options.batch_size, keras_layers()),
        }
        rates = measure(feeds, options.rounds, options.batches, options.batch_size)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, median in medians.items():
        ratios = [a / b for a, b in zip(rates["keras_tnt"], rates[name], strict=True)]
        print(
            f"{name:10} {median:7.1f} images/s, keras_tnt is "
            f"{statistics.median(ratios):.2f} times as fast"
        )
    record = {
        "images_per_second": rates,
        "median": medians,
        "options": vars(options),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def make_photos(directory, number):
    """Write JPEGs into class directories: crops of the photographs with noise."""
    rng = np.random.default_rng(0)
    paths = sorted((ROOT / "tests" / "assets").glob("astronaut_*.png"))
    photos = [tf.io.decode_png(path.read_bytes(), channels=3) for path in paths]
    for index in range(number):
        height, width = (500, 375) if index % 4 == 0 else (375, 500)
        photo = photos[index % len(photos)]
        share = rng.uniform(0.5, 1.0)
        part = [int(share * side) for side in photo.shape[:2]]
        image = tf.image.stateless_random_crop(photo, (*part, 3), (index, 0))
        image = tf.image.resize(image, (height, width), "bicubic")
        image += rng.normal(0, 4, image.shape)
        image = tf.cast(tf.clip_by_value(image, 0, 255), tf.uint8)
        path = directory / f"class_{index % CLASSES}" / f"{index}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tf.io.encode_jpeg(image, quality=90).numpy())


def ours(directory, batch_size):
    """Return the batches of this package."""
    return image_dataset(
        directory,
        batch_size=batch_size,
        augmentation=IMAGENET_AUGMENTATION,
        label_smoothing=0.1,
        epochs=10**6,
        prefetch=1,  # prefetched batches are not timed
    )


def others(directory, batch_size, augment):
    """Return batches cropped and flipped here, and augmented by other layers."""
    plain = dataclasses.replace(
        IMAGENET_AUGMENTATION, rand_augment=0, random_erasing=0.0, mixup=0.0, cutmix=0.0
    )
    dataset = image_dataset(
        directory,
        batch_size=batch_size,
        augmentation=plain,
        label_smoothing=0.1,
        epochs=10**6,
        prefetch=1,  # prefetched batches are not timed
    )
    return dataset.map(augment, tf.data.AUTOTUNE, True).prefetch(1)


def keras_cv_layers():
    """Return keras_cv's layers for the recipe; it has no erasing with pixel noise."""
    import keras_cv

    rand_augment = keras_cv.layers.RandAugment(
        (0, 255), augmentations_per_image=2, magnitude=0.9, magnitude_stddev=0.05
    )
    cutmix = keras_cv.layers.CutMix(1.0)
    mixup = keras_cv.layers.MixUp(0.8)

    def augment(images, labels):
        batch = {"images": rand_augment(images), "labels": labels}
        mixed = tf.cond(
            tf.random.uniform(()) < 0.5, lambda: cutmix(batch), lambda: mixup(batch)
        )
        return mixed["images"], mixed["labels"]

    return augment


def keras_layers():
    """Return Keras's own layers for the recipe."""
    rand_augment = keras.layers.RandAugment((0, 255), num_ops=2, factor=0.9)
    erase = keras.layers.RandomErasing(0.25, value_range=(0, 255))
    cutmix = keras.layers.CutMix(1.0)
    mixup = keras.layers.MixUp(0.8)

    def augment(images, labels):
        images = erase(rand_augment(images, training=True), training=True)
        batch = {"images": images, "labels": labels}
        mixed = tf.cond(
            tf.random.uniform(()) < 0.5,
            lambda: cutmix(batch, training=True),
            lambda: mixup(batch, training=True),
        )
        return mixed["images"], mixed["labels"]

    return augment


def measure(feeds, rounds, batches, batch_size):
    """Return images per second by pipeline and round, without the first batches."""
    rates = {name: [] for name in feeds}
    for _ in range(rounds):
        for name, feed in feeds.items():
            iterator = iter(feed)
            for _ in range(2):
                next(iterator)
            start = time.perf_counter()
            for _ in range(batches):
                next(iterator)
            seconds = time.perf_counter() - start
            rates[name].append(batches * batch_size / seconds)
            del iterator
    return rates


if __name__ == "__main__":
    main()
