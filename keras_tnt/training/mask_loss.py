"""The loss of a segmenter."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_tnt.utils.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class MaskCrossentropy(keras.losses.Loss):
    """Cross-entropy of every pixel's class, of logits.

    The loss of an image is the sum over its pixels, each times the weight of its true
    class, divided by the number of all its pixels. A pixel without class, -1, has
    weight 0. So a step means the same on one device and on several.

    Args:
        class_weights: weight of each class; 1 for all by default.
        label_smoothing: probability distributed equally over all classes, 0 to 1.
        name: name of the loss.

    Call arguments:
        y_true: whole numbers ``(batch, height, width)``: the class of each pixel, or a
            negative number for none.
        y_pred: logits ``(batch, height, width, classes)``.

    Raises:
        ValueError: when it is called, if there are more or fewer weights than classes.

    Example:
        >>> import keras
        >>> from keras_tnt.training import MaskCrossentropy
        >>> loss = MaskCrossentropy(class_weights=[1.0, 3.0])
        >>> round(float(loss([[[0, 1], [-1, -1]]], keras.ops.zeros((1, 2, 2, 2)))), 4)
        0.6931
    """

    def __init__(
        self,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        name: str = "mask_crossentropy",
    ):
        super().__init__(name=name, dtype="float32")
        self.class_weights = None if class_weights is None else list(class_weights)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        classes = y_pred.shape[-1]
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(
                f"Expected a weight for each of {classes} classes, got "
                f"{len(self.class_weights)} class_weights."
            )
        y_true = ops.cast(y_true, "int32")
        has_class = y_true >= 0
        labels = ops.where(has_class, y_true, 0)
        losses = ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        if self.label_smoothing:
            uniform = -ops.mean(ops.log_softmax(y_pred), axis=-1)
            losses += self.label_smoothing * (uniform - losses)
        weights = ops.cast(has_class, "float32")
        if self.class_weights is not None:
            weights *= ops.take(ops.array(self.class_weights, "float32"), labels)
        return ops.mean(losses * weights, axis=(1, 2))

    def get_config(self) -> dict[str, Any]:
        return {
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
            "name": self.name,
        }
