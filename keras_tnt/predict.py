"""Classifying picture files with a run, a model file, or published weights."""

import glob
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import keras
import numpy as np
import tensorflow as tf

from keras_tnt.decoding import SUFFIXES, load_image
from keras_tnt.images import CROP_FRACTION, imagenet_classes, preprocess_input
from keras_tnt.models import TNTBase, TNTSmall
from keras_tnt.training.run_folder import RunFolder

PUBLISHED = {"tnt_small": TNTSmall, "tnt_base": TNTBase}
BATCH_SIZE = 32


class Classifier(NamedTuple):
    """A model and what it takes to feed it and to read its answers."""

    model: keras.Model
    class_names: list
    crop_fraction: float


class Prediction(NamedTuple):
    """The best classes of one picture, as pairs (name, score), best first."""

    path: str
    classes: list


def load_classifier(source):
    """Loads what a user calls a model.

    Args:
        source: the folder of a run, a ``.keras`` file, or ``tnt_small`` or
            ``tnt_base`` for the published ImageNet weights.

    Returns:
        A `Classifier`. Class names of a file with other than 1,000 classes are their
        indices.

    Raises:
        FileNotFoundError: if there is no such run or file.
        ValueError: if the file is damaged or holds no classifier of pictures.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.predict import load_classifier
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> model.save("pets.keras")
        >>> load_classifier("pets.keras").class_names
        ['0', '1']
    """
    if source in PUBLISHED:
        return Classifier(PUBLISHED[source](), _imagenet_names(), CROP_FRACTION)
    path = Path(source)
    if path.is_dir():
        run = RunFolder(path)
        recipe, class_names = run.read_recipe()
        return Classifier(_load_model(run.model), class_names, recipe.crop_fraction)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no model {source!r}. Expected the folder of a run, a .keras "
            f"file, or one of {', '.join(PUBLISHED)}."
        )
    if path.suffix != ".keras":
        raise ValueError(
            f"{source!r} is no model: expected the folder of a run or a .keras file. "
            "A file of weights alone has to be loaded into a model first, with "
            "keras_tnt.load_weights, and saved with model.save."
        )
    model = _load_model(path)
    classes = model.output_shape[-1]
    names = _imagenet_names() if classes == 1000 else [str(i) for i in range(classes)]
    return Classifier(model, names, CROP_FRACTION)


def find_pictures(patterns):
    """Lists the pictures that a user names.

    Args:
        patterns: files, folders (all pictures in them, not deeper) and globs.

    Returns:
        A list of paths, in the order of the patterns, sorted within each.

    Raises:
        FileNotFoundError: if one of the patterns names nothing.

    Example:
        >>> from pathlib import Path
        >>> from keras_tnt.predict import find_pictures
        >>> for name in ("b.png", "a.jpg", "notes.txt"):
        ...     Path(name).touch()
        >>> [path.name for path in find_pictures(["."])]
        ['a.jpg', 'b.png']
    """
    found = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            pictures = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES]
        elif path.exists():
            pictures = [path]
        else:
            pictures = [Path(p) for p in glob.glob(pattern, recursive=True)]
        if not pictures:
            raise FileNotFoundError(
                f"There is no picture {pattern!r}: expected a file, a folder with "
                f"pictures ({', '.join(sorted(SUFFIXES))}), or a pattern such as "
                "'pictures/*.jpg'."
            )
        found += sorted(pictures)
    return found


def predict_files(classifier, paths, top=5):
    """Classifies picture files.

    Args:
        classifier: a `Classifier`.
        paths: the files.
        top: how many classes to name; all if there are fewer.

    Yields:
        A `Prediction` for each file, in order.

    Raises:
        ValueError: for a file that cannot be decoded, naming it.

    Example:
        >>> from pathlib import Path
        >>> import keras_tnt
        >>> import tensorflow as tf
        >>> from keras_tnt.predict import Classifier, predict_files
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> picture = tf.io.encode_png(tf.zeros((80, 90, 3), tf.uint8))
        >>> _ = Path("night.png").write_bytes(picture.numpy())
        >>> pets = Classifier(model, ["cat", "dog"], crop_fraction=0.9)
        >>> for path, classes in predict_files(pets, ["night.png"]):
        ...     print(path, sorted(name for name, score in classes))
        night.png ['cat', 'dog']
    """
    model, class_names, crop_fraction = classifier
    for start in range(0, len(paths), BATCH_SIZE):
        batch = paths[start : start + BATCH_SIZE]
        images = tf.stack([_read(path, model, crop_fraction) for path in batch])
        for path, scores in zip(batch, model.predict_on_batch(images), strict=True):
            best = np.argsort(-scores, kind="stable")[:top]
            named = [(class_names[index], float(scores[index])) for index in best]
            yield Prediction(str(path), named)


def _load_model(path):
    """Loads a Keras file that holds a classifier of gray or color pictures."""
    try:
        model = keras.saving.load_model(path, compile=False)
    except (BadZipFile, KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} holds no whole model: {error}") from error
    shapes = [tensor.shape for tensor in (*model.inputs, *model.outputs)]
    if [len(shape) for shape in shapes] != [4, 2] or shapes[0][-1] not in (1, 3):
        raise ValueError(
            f"{str(path)!r} holds no classifier of pictures but a model from "
            f"{model.input_shape} to {model.output_shape}."
        )
    return model


def _read(path, model, crop_fraction):
    _, height, width, channels = model.input_shape
    image = load_image(path)
    if channels == 1:
        image = tf.image.rgb_to_grayscale(image)
    return preprocess_input(image, (height, width), crop_fraction)


def _imagenet_names():
    return [name for _, name in imagenet_classes()]
