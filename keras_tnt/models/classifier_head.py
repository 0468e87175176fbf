"""Another head for a trained classifier."""

from typing import Any

import keras

from keras_tnt.models.builder import classification_head
from keras_tnt.models.functional import Functional
from keras_tnt.structure import architecture, find_head
from keras_tnt.utils.counts import check_count


def reset_classifier(
    model: keras.Model, classes: int, classifier_activation: Any = "softmax"
) -> keras.Model:
    """Return a classifier with a new head, and everything else of another one.

    The new model has the layers of ``model`` up to its head. It shares them, so their
    weights, what is frozen, LoRA and quantization stay. The new head has the initial
    values of a new model and is trainable. Compile the new model before training.

    Args:
        model: a `keras_tnt.TNT` or `keras_tnt.PyramidTNT` with its top. It keeps its
            own head.
        classes: number of classes of the new head; 0 for no head: a model that returns
            the features, ``(batch, dim)``.
        classifier_activation: activation of the head; ``None`` for logits.

    Returns:
        A functional `keras.Model` of the same name.

    Raises:
        ValueError: if ``model`` is not a TNT with a head, or ``classes`` is not a whole
            number of at least 0.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> keras_tnt.reset_classifier(model, 37).output_shape
        (None, 37)
        >>> keras_tnt.reset_classifier(model, 0).output_shape
        (None, 48)
    """
    head = find_head(model) if architecture(model) else None
    if head is None or head.features is None:
        raise ValueError(
            "Expected a keras_tnt.TNT or keras_tnt.PyramidTNT with its top, got "
            f"{model.name!r}. For a TNT inside of a model pass that layer: "
            "model.get_layer(NAME). For a TNTImageClassifier build another one with "
            "the same backbone."
        )
    outputs = head.features
    if check_count("classes", classes, lowest=0):
        outputs = classification_head(outputs, classes, classifier_activation)
    return Functional(model.input, outputs, name=model.name)
