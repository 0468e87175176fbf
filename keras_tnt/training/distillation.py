"""Distillation: the losses of DeiT (arXiv 2012.12877, section 4), without its token.

A student learns from the labels and from a teacher, which sees the same augmented and
mixed images:

    loss = (1 - alpha) · loss of the labels + alpha · distillation loss

- hard: cross-entropy of the class that the teacher predicts, without label smoothing.
  The paper has alpha 0.5.
- soft: temperature² · KL(teacher ‖ student), from the softmax of the logits divided by
  the temperature. It is a sum over the classes and a mean over the images, as in the
  paper, which has alpha 0.1 and temperature 3. DeiT's code (`losses.py`) divides it by
  the number of classes too, and has 0.5 and 1 as defaults.

In DeiT the teacher trains a distillation token of its own. A TNT has none: its class
token learns from both, as in the paper's comparison without that token (Table 3).
"""

import contextlib
from collections.abc import Callable, Iterator

import keras

from keras_tnt.training.recipe import Recipe
from keras_tnt.training.teacher import log_probabilities
from keras_tnt.utils.typing import Tensor


def hard_loss(
    teacher: Tensor, student: Tensor, sample_weight: Tensor | None = None
) -> Tensor:
    """Return the cross-entropy of the classes that the teacher predicts.

    Args:
        teacher: logits ``(batch, classes)``.
        student: logits ``(batch, classes)``.
        sample_weight: weights of the images, or ``None``.

    Returns:
        A scalar, the mean over the images.

    Example:
        >>> import numpy
        >>> from keras_tnt.training.distillation import hard_loss
        >>> loss = hard_loss(numpy.array([[3.0, 1.0]]), numpy.array([[0.0, 0.0]]))
        >>> round(float(loss), 4)
        0.6931
    """
    classes = teacher.shape[-1]
    predicted = keras.ops.one_hot(keras.ops.argmax(teacher, axis=-1), classes)
    return _cross_entropy(predicted, student, sample_weight)


def soft_loss(
    teacher: Tensor,
    student: Tensor,
    sample_weight: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Return temperature² · KL(teacher ‖ student) at a temperature.

    Args:
        teacher: logits ``(batch, classes)``.
        student: logits ``(batch, classes)``.
        sample_weight: weights of the images, or ``None``.
        temperature: divisor of the logits.

    Returns:
        A scalar, the mean over the images.

    Example:
        >>> import numpy
        >>> from keras_tnt.training.distillation import soft_loss
        >>> logits = numpy.array([[3.0, 1.0]])
        >>> float(soft_loss(logits, logits, temperature=3.0))
        0.0
    """
    teacher, student = teacher / temperature, student / temperature
    targets = keras.ops.softmax(teacher)
    divergence = _cross_entropy(targets, student, sample_weight) - _cross_entropy(
        targets, teacher, sample_weight
    )
    return temperature**2 * divergence


def _cross_entropy(targets, logits, sample_weight):
    """The mean over the images of all replicas together, as in Keras's own losses."""
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    return loss(targets, logits, sample_weight)


@contextlib.contextmanager
def distilling(
    student: keras.Model,
    teacher_logits: Callable[[Tensor], Tensor] | None,
    recipe: Recipe,
) -> Iterator[None]:
    """Add the teacher to the loss of a model's training steps; not to its evaluation.

    The teacher is not part of the model: not of its variables, its metrics or its file.

    Args:
        student: a compiled `keras.Model` that returns probabilities. Afterwards it is
            compiled as before.
        teacher_logits: function from images to logits, see
            `keras_tnt.training.teacher.logits_function`; ``None`` changes nothing.
        recipe: a `keras_tnt.training.Recipe` with the settings of the distillation.
    """
    if teacher_logits is None:
        yield
        return
    loss_of_labels, alpha = student.compute_loss, recipe.distillation_alpha

    def compute_loss(
        x=None, y=None, y_pred=None, sample_weight=None, training=True
    ) -> Tensor:
        loss = loss_of_labels(x, y, y_pred, sample_weight, training)
        if not training:
            return loss
        logits = teacher_logits(x), log_probabilities(y_pred)
        if recipe.distillation == "hard":
            distilled = hard_loss(*logits, sample_weight)
        else:
            temperature = recipe.distillation_temperature
            distilled = soft_loss(*logits, sample_weight, temperature)
        return (1 - alpha) * loss + alpha * distilled

    student.compute_loss = compute_loss
    try:
        yield
    finally:
        del student.compute_loss
        student.train_function = None  # which has the teacher
