"""The data set inside the package: a small part of Fashion-MNIST, read with tfds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keras_tnt.compat.libraries import read_config_without_cache

if TYPE_CHECKING:
    from types import ModuleType

    import tensorflow as tf
    import tensorflow_datasets as tfds

FOLDER = Path(__file__).parent / "fashion_mnist_mini" / "1.0.0"


def fashion_mnist_mini(split: str) -> tf.data.Dataset:
    """Reads a split of the embedded data set: images of clothing and their classes.

    12,000 training and 2,000 test images of Fashion-MNIST, equally many of each of
    the ten classes. Every pass over the dataset gives the same images in the same
    order, in which the classes are mixed. Nothing is downloaded or written.

    Args:
        split: `"train"`, `"test"` or a slice such as `"train[:10%]"`.

    Returns:
        A `tf.data.Dataset` of known cardinality with the elements `(image, label)`:
        uint8 (28, 28, 1) with values 0-255, and an int64 scalar below 10.

    Raises:
        ImportError: If tensorflow_datasets is not installed.
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
    # tfds would cache the records (not the images) and then log a complaint about
    # every reader that stops early; callers who repeat the data cache it themselves.
    read_config = read_config_without_cache(import_tfds())
    return builder.as_dataset(split, as_supervised=True, read_config=read_config)


def fashion_mnist_mini_class_names() -> tuple[str, ...]:
    """Names the ten classes of the embedded data set, in the order of the labels.

    Returns:
        The names: `names[label]` is the class of an image with that label.

    Raises:
        ImportError: If tensorflow_datasets is not installed.

    Example:
        >>> from keras_tnt.data import fashion_mnist_mini_class_names
        >>> fashion_mnist_mini_class_names()[:3]
        ('T-shirt/top', 'Trouser', 'Pullover')
    """
    return tuple(bundled_builder().info.features["label"].names)


def bundled_builder() -> tfds.core.DatasetBuilder:
    """Opens the data set in the package's own directory."""
    return import_tfds().builder_from_directory(FOLDER)


def import_tfds() -> ModuleType:
    """Imports tensorflow_datasets, which only extras install."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "This data set is read with tensorflow_datasets, which could not "
            'be imported. Install it: pip install "keras-tnt[demo]"'
        ) from error
    return tfds
