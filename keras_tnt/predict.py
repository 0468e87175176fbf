"""Classifying picture files with a run, a model file, or published weights."""

import glob
from pathlib import Path
from typing import NamedTuple

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
        ValueError: if the file holds no classifier.
    """
    if source in PUBLISHED:
        return Classifier(PUBLISHED[source](), _imagenet_names(), CROP_FRACTION)
    path = Path(source)
    if path.is_dir():
        run = RunFolder(path)
        recipe, class_names = run.read_recipe()
        model = keras.saving.load_model(run.model, compile=False)
        return Classifier(model, class_names, recipe.crop_fraction)
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
    model = keras.saving.load_model(path, compile=False)
    if len(model.output_shape) != 2:
        raise ValueError(f"{source!r} is no classifier: it gives {model.output_shape}.")
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
    """
    model, class_names, crop_fraction = classifier
    for start in range(0, len(paths), BATCH_SIZE):
        batch = paths[start : start + BATCH_SIZE]
        images = tf.stack([_read(path, model, crop_fraction) for path in batch])
        for path, scores in zip(batch, model.predict_on_batch(images), strict=True):
            best = np.argsort(-scores, kind="stable")[:top]
            named = [(class_names[index], float(scores[index])) for index in best]
            yield Prediction(str(path), named)


def _read(path, model, crop_fraction):
    _, height, width, channels = model.input_shape
    image = load_image(path)
    if channels == 1:
        image = tf.image.rgb_to_grayscale(image)
    return preprocess_input(image, (height, width), crop_fraction)


def _imagenet_names():
    return [name for _, name in imagenet_classes()]
