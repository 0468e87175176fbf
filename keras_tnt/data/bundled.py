"""The bundled data set: a small part of Fashion-MNIST, read with tfds."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import TYPE_CHECKING

from keras_tnt.compat.libraries import read_config_without_cache

if TYPE_CHECKING:
    from types import ModuleType

    import tensorflow as tf
    import tensorflow_datasets as tfds


def fashion_mnist_mini(split: str) -> tf.data.Dataset:
    """Load a split of the bundled data set: images of clothing and their classes.

    It has 12,000 training and 2,000 test images of Fashion-MNIST, equally many of each
    of the ten classes. Every pass gives the same images in the same shuffled order.
    Nothing is downloaded or written: the package `keras-tnt-demo-data` has the files.

    Args:
        split: `"train"`, `"test"` or a slice such as `"train[:10%]"`.

    Returns:
        A `tf.data.Dataset` of known cardinality with the elements `(image, label)`:
        uint8 (28, 28, 1) with values 0-255, and an int64 scalar below 10.

    Raises:
        ImportError: If tensorflow_datasets or keras-tnt-demo-data is not installed.
        ValueError: If there is no such split.

    Example:
        >>> from keras_tnt.data import fashion_mnist_mini
        >>> test = fashion_mnist_mini("test")
        >>> len(test)
        2000
        >>> images, labels = next(iter(test.batch(64)))
        >>> images.shape, labels.shape
        (TensorShape([64, 28, 28, 1]), TensorShape([64]))
    """
    builder = bundled_builder()
    read_config = read_config_without_cache(import_tfds())
    return builder.as_dataset(split, as_supervised=True, read_config=read_config)


def fashion_mnist_mini_class_names() -> tuple[str, ...]:
    """Return the names of the ten classes, in the order of the labels.

    Returns:
        The names: `names[label]` is the class of an image with that label.

    Raises:
        ImportError: If tensorflow_datasets or keras-tnt-demo-data is not installed.

    Example:
        >>> from keras_tnt.data import fashion_mnist_mini_class_names
        >>> fashion_mnist_mini_class_names()[:3]
        ('T-shirt/top', 'Trouser', 'Pullover')
    """
    return tuple(bundled_builder().info.features["label"].names)


def bundled_builder() -> tfds.core.DatasetBuilder:
    """Return the builder of the bundled data set."""
    return import_tfds().builder_from_directory(bundled_directory())


def bundled_directory() -> Path:
    """Return the directory of the bundled data set, which is a package of its own."""
    try:
        package = importlib.resources.files("keras_tnt_demo_data")
    except ImportError as error:
        raise ImportError(
            "fashion_mnist_mini needs its images, which are a package of their own, "
            "keras-tnt-demo-data. Install it from a clone of keras_tnt: "
            "pip install ./demo_data"
        ) from error
    return Path(str(package)) / "fashion_mnist_mini" / "1.0.0"


def import_tfds() -> ModuleType:
    """Return tensorflow_datasets, which only extras install."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "Reading this data set needs tensorflow_datasets, which could not be "
            'imported. Install it: pip install "keras-tnt[demo]"'
        ) from error
    return tfds
