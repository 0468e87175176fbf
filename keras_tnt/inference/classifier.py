"""Classifying image files with a run, a model in a file, or published weights."""

import glob
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_tnt.compat.model_files import load_keras_file
from keras_tnt.export.comparison import are_probabilities, noise
from keras_tnt.export.exported_model import ExportedModel
from keras_tnt.export.load_exported import find_format, load_exported
from keras_tnt.export.validation import choose_image_size, with_image_size
from keras_tnt.images import (
    CROP_FRACTION,
    SUFFIXES,
    imagenet_classes,
    load_image,
    preprocess_input,
    rgb_to_gray,
)
from keras_tnt.images.preprocess import check_scale
from keras_tnt.images.suffixes import count_other_files, has_image_suffix
from keras_tnt.models import TNTBase, TNTSmall
from keras_tnt.structure import find_head, has_preprocessing
from keras_tnt.training.run_directory import RunDirectory
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.counts import check_count, check_size
from keras_tnt.utils.typing import PathLike, Tensor

logger = logging.getLogger(__name__)

PUBLISHED = {"tnt_small": TNTSmall, "tnt_base": TNTBase}
BATCH_SIZE = 32


class Classifier(NamedTuple):
    """A model, the names of its classes and the crop of its preprocessing."""

    model: keras.Model | ExportedModel
    class_names: list
    crop_fraction: float


class Prediction(NamedTuple):
    """The best classes of one image, as pairs (name, score), best first."""

    path: str
    classes: list


def load_classifier(
    source: str, image_size: tuple[int, int] | None = None
) -> Classifier:
    """Load a classifier of any format, detected from its content.

    Args:
        source: a run directory, a Keras file, an exported model (the directory of a
            SavedModel or of its version, an ONNX or LiteRT file, the directory or XML
            file of OpenVINO), or ``tnt_small`` or ``tnt_base`` for the published
            ImageNet weights.
        image_size: ``(height, width)`` of the images, for a Keras file that takes any
            size, by default that of its first layer of static size, such as a
            Resizing; or for published weights, 224x224 by default. Other models have a
            size.

    Returns:
        A `Classifier`. Exports and runs contain the names of their classes. Other
        models of 1,000 classes get those of ImageNet, all others their indices.

    Raises:
        FileNotFoundError: if there is no such file or directory.
        ValueError: if it is damaged, not a classifier of images with pixels 0-255 that
            returns probabilities, or a run that has not ended; or if ``image_size``
            is invalid or another than the model's.
        ImportError: if the runtime of an exported model is not installed.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.inference.classifier import load_classifier
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> model.save("pets.keras")
        >>> load_classifier("pets.keras").class_names
        ['0', '1']
    """
    if image_size is not None:
        image_size = check_size("image_size", image_size)
    if source in PUBLISHED:
        options = {} if image_size is None else {"input_shape": (*image_size, 3)}
        model = PUBLISHED[source](**options)
        return Classifier(model, _imagenet_names(), CROP_FRACTION)
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(
            f"There is no model {source!r}. Expected a run directory, a .keras "
            f"file, an exported model, or one of {', '.join(PUBLISHED)}."
        )
    run = RunDirectory(path)
    if run.recipe.is_file():
        return _load_run(run, image_size)
    file_format, path = find_format(path)
    if file_format is None:
        raise ValueError(
            f"{source!r} is not a model. Expected a run directory (with recipe.json), "
            "a .keras file, a SavedModel, or an ONNX, LiteRT or OpenVINO file. Load a "
            "file of weights into a model with keras_tnt.load_weights, and save it "
            "with model.save."
        )
    if file_format == "keras":
        return _without_metadata(_load_keras(path, image_size))
    model = load_exported(path, file_format)
    if model.metadata is not None:  # the file itself may take images of any size
        model = model._replace(input_shape=(None, *model.metadata.image_shape))
    _check_shapes(path, model.input_shape, model.output_shape)
    if image_size not in (None, model.input_shape[1:3]):
        raise ValueError(
            f"{str(path)!r} takes images of size {model.input_shape[1:3]}, got "
            f"image_size={image_size}. Leave it out, or export the model anew."
        )
    if model.metadata is None:
        _check_probabilities(path, model.predict_on_batch, model.input_shape)
        return _without_metadata(model)
    return _with_names(path, model, model.metadata.labels, model.metadata.crop_fraction)


def _load_run(run, image_size):
    recipe, class_names = run.read_recipe()
    if not run.model.exists():
        raise ValueError(
            f"{str(run.path)!r} has no model yet, because its training has not ended. "
            f"Resume it: keras-tnt train --recipe {run.recipe} --out {run.path}"
        )
    model = _load_keras(run.model, image_size)
    return _with_names(run.model, model, class_names, recipe.crop_fraction)


def _with_names(path, model, class_names, crop_fraction):
    classes = model.output_shape[-1]
    if len(class_names) != classes:
        raise ValueError(
            f"{str(path)!r} has {classes} classes, but {len(class_names)} names of "
            "classes. Expected the names that it was trained or exported with."
        )
    return Classifier(model, class_names, crop_fraction)


def _without_metadata(model):
    classes = model.output_shape[-1]
    names = _imagenet_names() if classes == 1000 else [str(i) for i in range(classes)]
    return Classifier(model, names, CROP_FRACTION)


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
        >>> from keras_tnt.inference.classifier import find_images
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
            not a whole number of at least 1.

    Example:
        >>> from pathlib import Path
        >>> import keras_tnt
        >>> import tensorflow as tf
        >>> from keras_tnt.inference.classifier import Classifier, predict_files
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
    for start in range(0, len(paths), BATCH_SIZE):
        batch = paths[start : start + BATCH_SIZE]
        loaded: list[Any] = []
        for path in batch:
            try:
                image = load_image(path, apply_orientation)
                loaded.append(prepare(classifier, image))
            except (OSError, ValueError) as error:
                if on_error is None:
                    raise
                loaded.append(error)
        images = [each for each in loaded if not isinstance(each, Exception)]
        classes = iter(classify(classifier, tf.stack(images), top) if images else [])
        for path, each in zip(batch, loaded, strict=True):
            if isinstance(each, Exception):
                on_error(str(path), each)  # type: ignore[misc]  # not None, see above
            else:
                yield Prediction(str(path), next(classes))


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
        ValueError: if the images look scaled to 0-1, or ``top`` is not a whole number
            of at least 1.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.inference.classifier import Classifier, classify
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
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(classifier.class_names[index], float(row[index])) for index in indices]
        for row, indices in zip(scores, best, strict=True)
    ]


def prepare(classifier: Classifier, image: ArrayLike) -> tf.Tensor:
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
        >>> from keras_tnt.inference.classifier import Classifier, prepare
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


def _load_keras(path, image_size):
    """Load a Keras file with a classifier of gray or color images."""
    try:
        model = load_keras_file(path)
    except ValueError as error:
        raise ValueError(f"{str(path)!r} {error}") from error
    ends = [len(getattr(model, name, None) or ()) for name in ("inputs", "outputs")]
    if ends != [1, 1]:
        raise ValueError(
            f"{str(path)!r} is not an image classifier but a model of "
            f"{ends[0]} inputs and {ends[1]} outputs."
        )
    if len(model.input_shape) == 4:
        model = _with_static_size(path, model, image_size)
    _check_shapes(path, model.input_shape, model.output_shape)
    if not has_preprocessing(model):
        raise ValueError(
            f"{str(path)!r} expects scaled images, but gets pixels 0-255. Build "
            "it with include_preprocessing=True, or put its preprocessing before it: "
            "keras.Sequential([keras.layers.Rescaling(1 / 127.5, -1), model])."
        )
    _check_probabilities(path, model, model.input_shape)
    return model


def _with_static_size(path, model, image_size):
    """The model at a size, by default its own or that of its first Resizing."""
    try:
        size = choose_image_size(model, image_size)
    except ValueError as error:
        if image_size is not None:
            raise
        raise ValueError(
            f"{str(path)!r} takes images of any size, and no layer of it tells one. "
            "Begin the model with keras.layers.Resizing(height, width), or pass "
            "image_size=(height, width) (--image-size HEIGHT,WIDTH)."
        ) from error
    return with_image_size(model, size)


def _check_shapes(path, input_shape, output_shape):
    shapes = [len(input_shape), len(output_shape)]
    static = None not in (*input_shape[1:], *output_shape[1:])
    if shapes != [4, 2] or not static or input_shape[-1] not in (1, 3):
        raise ValueError(
            f"{str(path)!r} is not an image classifier but a model from shape "
            f"{tuple(input_shape)} to {tuple(output_shape)}."
        )


def _check_probabilities(path, predict, input_shape):
    """Check on images of noise that a model returns probabilities."""
    scores = np.asarray(predict(noise(input_shape[1:], number=4)), "float32")
    # Two scores of a sigmoid may sum to 1.
    is_keras = isinstance(predict, keras.Model)
    is_sigmoid = is_keras and find_head(predict).activation == "sigmoid"
    if is_sigmoid or not are_probabilities(scores):
        raise ValueError(
            f"{str(path)!r} does not return probabilities that sum to 1, but values "
            f"such as {scores[0][:3].tolist()}: logits, independent scores of several "
            "classes, or features. Expected a classifier that ends in a softmax. If "
            "these are logits, append it: keras.Sequential([model, "
            "keras.layers.Softmax()])."
        )


def _imagenet_names():
    return [name for _, name in imagenet_classes()]
