"""Classifying image files."""

import collections
import functools
import glob
import itertools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.evaluation.batches import check_finite_outputs, default_batch_size
from keras_tnt.images import SUFFIXES, load_image, preprocess_input, rgb_to_gray
from keras_tnt.images.preprocess import check_scale
from keras_tnt.images.suffixes import count_other_files, has_image_suffix
from keras_tnt.inference.classifier import Classifier
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.counts import check_count
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike, Tensor

logger = logging.getLogger(__name__)

# Decoded while the model is compiled, which takes one core some seconds.
BATCHES_AHEAD = 8


class Prediction(NamedTuple):
    """The best classes of one image, as pairs (name, score), best first."""

    path: str
    classes: list


def find_images(patterns: Sequence[str]) -> list[Path]:
    """Return the image files of paths, directories and patterns.

    Args:
        patterns: files, directories (their images, without subdirectories) and globs.

    Returns:
        A list of paths, in the order of the patterns, sorted within each.

    Raises:
        FileNotFoundError: if a pattern matches no image.

    Example:
        >>> from pathlib import Path
        >>> from keras_tnt.inference.classification import find_images
        >>> for name in ("b.png", "a.jpg", "notes.txt"):
        ...     Path(name).touch()
        >>> [path.name for path in find_images(["."])]
        ['a.jpg', 'b.png']
    """
    found = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            matches = _images_in(path)
        elif path.exists():
            matches = [path]
        else:
            matches = [Path(p) for p in glob.glob(pattern, recursive=True)]
        if not matches:
            raise FileNotFoundError(
                f"No image matches {pattern!r}. Expected a file, a directory with "
                f"images ({', '.join(sorted(SUFFIXES))}), or a pattern such as "
                "'images/*.jpg'."
            )
        found += sorted(matches)
    return found


def _images_in(directory):
    names = [path.name for path in directory.iterdir() if not path.is_dir()]
    if others := count_other_files(names):
        logger.warning(
            "Left out of %s: files that are not read as images (%s).", directory, others
        )
    return [directory / name for name in names if has_image_suffix(name)]


def predict_files(
    classifier: Classifier,
    paths: Sequence[PathLike],
    top: int = 5,
    apply_orientation: bool = True,
    on_error: Callable[[str, Exception], None] | None = None,
) -> Iterator[Prediction]:
    """Classify image files.

    Threads read and decode the next files while the model is compiled and computes. All
    batches have the same size, so it is compiled once.

    Args:
        classifier: a `Classifier`.
        paths: the files.
        top: number of classes to return; all if there are fewer.
        apply_orientation: whether to turn images upright, as their EXIF orientation
            says; see `keras_tnt.load_image`.
        on_error: called in place of a prediction with the path and the error of each
            file that cannot be read or decoded. By default the error is raised.

    Yields:
        A `Prediction` for each file that can be read, in order.

    Raises:
        OSError: if a file cannot be read, and there is no `on_error`.
        ValueError: if a file cannot be decoded, likewise; it is named. If ``top`` is
            not a whole number of at least 1, or the model returns NaN or infinity.

    Example:
        >>> from pathlib import Path
        >>> import keras_tnt
        >>> import tensorflow as tf
        >>> from keras_tnt.inference.classifier import Classifier
        >>> from keras_tnt.inference.classification import predict_files
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> image = tf.io.encode_png(tf.zeros((80, 90, 3), tf.uint8))
        >>> _ = Path("night.png").write_bytes(image.numpy())
        >>> pets = Classifier(model, ["cat", "dog"], crop_fraction=0.9)
        >>> for path, classes in predict_files(pets, ["night.png"]):
        ...     print(path, sorted(name for name, score in classes))
        night.png ['cat', 'dog']
    """
    paths = as_list("paths", paths)
    top = check_count("top", top)
    prepare_image = functools.partial(prepare, classifier)
    if uses_tensorflow():  # as one graph, which needs less of Python
        color_image = tf.TensorSpec((None, None, 3), tf.uint8)
        prepare_image = tf.function(prepare_image, input_signature=[color_image])

    def load(path):
        try:
            image = prepare_image(load_image(path, apply_orientation))
            # Whole numbers: bytes hold them in a quarter of the memory.
            return np.asarray(image).astype("uint8")
        except (OSError, ValueError) as error:
            return error

    batch_size = default_batch_size()
    batches = [
        paths[start : start + batch_size] for start in range(0, len(paths), batch_size)
    ]
    for batch, loaded in zip(batches, _load_ahead(load, batches), strict=True):
        errors = [each for each in loaded if isinstance(each, Exception)]
        if errors and on_error is None:
            raise errors[0]
        images = [each for each in loaded if not isinstance(each, Exception)]
        size = batch_size if len(batches) > 1 else len(images)
        classes = iter(_classify_padded(classifier, images, top, size))
        for path, each in zip(batch, loaded, strict=True):
            if isinstance(each, Exception):
                on_error(str(path), each)  # type: ignore[misc]  # not None, see above
            else:
                yield Prediction(str(path), next(classes))


def _load_ahead(load, batches):
    """Load the items of batches in threads, some batches ahead of what is used."""
    pool = ThreadPoolExecutor(os.cpu_count())
    ahead: collections.deque = collections.deque()
    try:
        for batch in itertools.chain(batches, [()] * BATCHES_AHEAD):
            ahead.append([pool.submit(load, item) for item in batch])
            if len(ahead) > BATCHES_AHEAD:
                yield [future.result() for future in ahead.popleft()]
    finally:
        pool.shutdown(cancel_futures=True)


def _classify_padded(classifier, images, top, size):
    """Classify images in a batch of this size, so that one graph serves all batches."""
    if not images:
        return []
    batch = np.stack(images + images[-1:] * (size - len(images))).astype("float32")
    return classify(classifier, batch, top)[: len(images)]


def classify(
    classifier: Classifier, images: Tensor, top: int = 5
) -> list[list[tuple[str, float]]]:
    """Return the best classes of images.

    Args:
        classifier: a `Classifier`.
        images: a batch of images from `prepare`, ``(batch, height, width, channels)``.
        top: number of classes to return; all if there are fewer.

    Returns:
        A list of pairs (name, score) for each image, best first.

    Raises:
        ValueError: if the images look scaled to 0-1, ``top`` is not a whole number of
            at least 1, or the model returns NaN or infinity.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.inference.classifier import Classifier
        >>> from keras_tnt.inference.classification import classify
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> pets = Classifier(model, ["cat", "dog"], crop_fraction=0.9)
        >>> (classes,) = classify(pets, numpy.zeros((1, 64, 64, 3)))
        >>> sorted(name for name, score in classes)
        ['cat', 'dog']
    """
    top = check_count("top", top)
    check_scale(images)
    scores = classifier.model.predict_on_batch(images)
    check_finite_outputs(scores)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(classifier.class_names[index], float(row[index])) for index in indices]
        for row, indices in zip(scores, best, strict=True)
    ]


def prepare(classifier: Classifier, image: ArrayLike) -> Tensor:
    """Preprocess an image for a classifier.

    Args:
        classifier: a `Classifier`.
        image: a color image of any size, uint8 ``(height, width, 3)``.

    Returns:
        A float32 tensor ``(height, width, channels)`` of the model's size.

    Raises:
        ValueError: if the values are not within 0-255, or look scaled to 0-1.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.inference.classifier import Classifier
        >>> from keras_tnt.inference.classification import prepare
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 1))
        >>> pets = Classifier(model, ["cat", "dog"], crop_fraction=0.9)
        >>> prepare(pets, numpy.zeros((80, 90, 3), "uint8")).shape
        TensorShape([64, 64, 1])
    """
    _, height, width, channels = classifier.model.input_shape
    if channels == 1:
        image = rgb_to_gray(image)
    return preprocess_input(image, (height, width), classifier.crop_fraction)
