"""The teacher of a distillation: loading it, checking it, and its logits."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from keras_tnt import models
from keras_tnt.compat.model_files import load_keras_file
from keras_tnt.evaluation.class_matching import default_class_names, match_classes
from keras_tnt.export.comparison import output_activation
from keras_tnt.export.validation import as_functional, check_labels
from keras_tnt.models.catalog import BUILDERS
from keras_tnt.training.builders import dtype_policy
from keras_tnt.training.checkpoints import digest
from keras_tnt.training.recipe import Recipe
from keras_tnt.training.run_directory import RunDirectory
from keras_tnt.utils.typing import Shape, Tensor
from keras_tnt.weights import load_weights, registry

# Other names of builders with their published weights.
PUBLISHED = {
    name: BUILDERS[variant].__name__
    for variant, weights in registry.PUBLISHED.items()
    for name in (variant, f"hf://{weights.repo_id}")
}
SMALLEST = 1e-30  # probability in a logarithm, of a class 69 below the best logit


class Teacher(NamedTuple):
    """A classifier, and the names of its classes in the order of its outputs.

    Without names, 1,000 classes are those of ImageNet, and others have their order.
    """

    model: keras.Model
    class_names: Sequence[str] | None = None

    def digest(self) -> str:
        """Return a checksum of the weights."""
        weights = enumerate(self.model.weights)
        return digest({f"{number:08}": weight.numpy() for number, weight in weights})


def find_teacher(
    recipe: Recipe, given: keras.Model | None, classes: int
) -> Teacher | None:
    """Return the teacher that is given or that the recipe names, ``None`` without any.

    Args:
        recipe: a `keras_tnt.training.Recipe`.
        given: a model, or ``None``.
        classes: number of classes of the data set.

    Raises:
        ValueError: if there are two teachers, the given one is not a model, or there is
            none and the recipe has settings of a distillation; also as in
            `load_teacher`.
        FileNotFoundError: as in `load_teacher`.
        OSError: as in `load_teacher`.
    """
    if given is not None and recipe.teacher is not None:
        raise ValueError(
            f"There are two teachers: the recipe's, {recipe.teacher!r}, and the model "
            "passed as teacher=. Pass one of them."
        )
    if given is not None:
        if not isinstance(given, keras.Model):
            raise ValueError(
                f"teacher= must be a keras.Model, got {given!r}. Set the recipe's "
                "teacher to a run directory, a .keras file or BUILDER:WEIGHTS."
            )
        return Teacher(given)
    if recipe.teacher is not None:
        return load_teacher(recipe.teacher, classes, dtype_policy(recipe))
    for field in dataclasses.fields(Recipe):
        value = getattr(recipe, field.name)
        if field.name.startswith("distillation") and value != field.default:
            raise ValueError(
                f"{field.name}={value!r} has no effect without a teacher. Set teacher "
                "(--teacher) to a run directory or a .keras file."
            )
    return None


def load_teacher(source: str, classes: int, dtype: str | None = None) -> Teacher:
    """Load a teacher.

    Args:
        source: a run directory that has ended, a Keras file, or ``BUILDER:WEIGHTS``
            with a name in `keras_tnt.models` and what its `weights` takes, such as
            ``TNTBase:imagenet`` or ``TNTBase:hf://owner/name``. ``TNTBase``,
            ``tnt_base`` and ``hf://timm/tnt_b_patch16_224.in1k`` are short for
            ``TNTBase:imagenet``, and likewise for TNT-S.
        classes: number of classes of a builder whose weights are not the published
            ones.
        dtype: dtype policy of a builder; a file has its own.

    Returns:
        A `Teacher`.

    Raises:
        FileNotFoundError: if there is no such file, directory or builder.
        ValueError: if it is not a Keras model, a run that has not ended, or weights
            that do not fit the builder or its head.
        OSError: if weights cannot be downloaded.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.training.teacher import load_teacher
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(64, 64, 3))
        >>> model.save("pets.keras")
        >>> load_teacher("pets.keras", classes=2).model.output_shape
        (None, 2)
    """
    builder, _, weights = PUBLISHED.get(source, source).partition(":")
    if builder in models.__all__:
        return _build(builder, weights or "imagenet", classes, dtype)
    path, class_names = Path(source), None
    if not path.exists():
        raise FileNotFoundError(
            f"There is no teacher {source!r}. Expected a run directory, a .keras file, "
            "or a builder and its weights, such as TNTBase:imagenet or "
            "TNTBase:hf://owner/name."
        )
    if path.is_dir():
        run = RunDirectory(path)
        class_names = run.read_recipe()[1]
        path = run.trained_model()
    try:
        model = load_keras_file(path)
    except ValueError as error:
        raise ValueError(f"The teacher {str(path)!r} {error}") from error
    return Teacher(model, class_names)


def _build(builder, weights, classes, dtype):
    build = getattr(models, builder)
    if weights == "imagenet":
        return Teacher(build(weights=weights, dtype=dtype))
    model = build(weights=None, classes=classes, dtype=dtype)
    kernel = model.get_layer("predictions").kernel
    random = kernel.numpy()
    load_weights(model, weights)
    if np.array_equal(random, kernel.numpy()):
        raise ValueError(
            f"The teacher {builder}:{weights} has no head for the {classes} classes of "
            "the data set. Fine-tune it on them, and pass the run directory."
        )
    return Teacher(model)


def logits_function(
    teacher: Teacher, class_names: Sequence[str], image_shape: Shape
) -> Callable[[Tensor], Tensor]:
    """Check that a teacher fits a student, and return the function to its logits.

    The logits of a teacher that returns probabilities are their logarithms: the softmax
    of these is the probabilities again. A teacher with an image size of its own sees
    the images resized to it (bilinear without antialias, which XLA can compile). Its
    outputs are put into the order of the data set's classes, without any other class.

    Args:
        teacher: a `Teacher`.
        class_names: names of the data set's classes.
        image_shape: ``(height, width, channels)`` of the student's images.

    Returns:
        A function from images ``(batch, height, width, channels)``, values 0-255, to
        float32 logits ``(batch, classes)``. It runs the teacher in inference mode, and
        no gradient passes it.

    Raises:
        ValueError: if the teacher is not a built classifier of such images with values
            0-255, returns neither logits nor probabilities that sum to 1, or does not
            know a class of the data set.
    """
    *image_size, channels = image_shape
    try:
        model = as_functional(teacher.model)
        names = teacher.class_names or default_class_names(model.output_shape[-1])
        check_labels(model, names)
        columns = match_classes(names, class_names)
        is_softmax = _returns_probabilities(model, tuple(image_size))
    except ValueError as error:
        raise ValueError(f"The teacher cannot be used. {error}") from error
    *own_size, own_channels = model.input_shape[1:]
    if own_channels != channels:
        raise ValueError(
            f"The teacher takes images of {own_channels} channels, the student of "
            f"{channels}. Train a teacher with channels={channels}, or set "
            f"channels={own_channels} in the recipe."
        )
    has_other_size = None not in own_size and own_size != image_size
    has_other_classes = columns != list(range(len(names)))

    def logits(images: Tensor) -> Tensor:
        if has_other_size:
            images = keras.ops.image.resize(images, own_size)
        outputs = keras.ops.cast(model(images, training=False), "float32")
        if is_softmax:
            outputs = log_probabilities(outputs)
        if has_other_classes:
            outputs = keras.ops.take(outputs, columns, axis=-1)
        return keras.ops.stop_gradient(outputs)

    return logits


def log_probabilities(probabilities: Tensor) -> Tensor:
    """Return the logits of a softmax's probabilities, up to a constant."""
    return keras.ops.log(keras.ops.maximum(probabilities, SMALLEST))


def _returns_probabilities(model, image_size):
    """Whether a classifier returns probabilities that sum to 1, not logits."""
    size = tuple(
        own or side
        for own, side in zip(model.input_shape[1:3], image_size, strict=True)
    )
    activation = output_activation(model, size)
    if activation == "sigmoid":
        raise ValueError(
            f"Model {model.name!r} ends in a sigmoid, so its classes do not exclude "
            "each other. Expected a softmax, or logits of one."
        )
    return activation == "softmax"
