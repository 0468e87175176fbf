"""Losses of a classifier that ends in a softmax."""

from typing import Any

import keras

from keras_tnt.compat.keras_training import output_logits
from keras_tnt.utils.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class BinaryCrossentropy(keras.losses.Loss):
    """Binary cross-entropy of every class by itself, the mean over the classes.

    It is computed from the logits behind the softmax in which the model ends: training
    asks of each class whether it is in the image, and predictions still sum to 1. The
    classes keep their order. timm's `BinaryCrossEntropy` and DeiT III (arXiv
    2204.07118; `torch.nn.BCEWithLogitsLoss` in main.py of its code) also take the mean
    over images and classes.

    Labels may be mixed and smoothed. timm uses them as they are. DeiT III's code
    (engine.py) has 1 for all classes in a mixed image: a threshold of 0, without label
    smoothing.

    Args:
        target_threshold: labels above it count as 1, others as 0; ``None`` for the
            labels as they are.
        name: name of the loss.

    Raises:
        ValueError: when it is called, if the predictions are not those of a softmax.

    Example:
        >>> import keras
        >>> from keras_tnt.training.losses import BinaryCrossentropy
        >>> probabilities = keras.activations.softmax(keras.ops.zeros((1, 4)))
        >>> labels = keras.ops.one_hot([2], 4)
        >>> round(float(BinaryCrossentropy()(labels, probabilities)), 4)
        0.6931
    """

    def __init__(
        self, target_threshold: float | None = None, name: str = "binary_crossentropy"
    ):
        # A conversion to another dtype would lose the logits.
        super().__init__(name=name, dtype="float32")
        self.target_threshold = target_threshold

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        logits = output_logits(y_pred)
        if self.target_threshold is not None:
            y_true = keras.ops.cast(y_true > self.target_threshold, logits.dtype)
        losses = keras.ops.binary_crossentropy(y_true, logits, from_logits=True)
        return keras.ops.mean(losses, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {"target_threshold": self.target_threshold, "name": self.name}
