"""From boxes and logits of all anchors to detections."""

from __future__ import annotations

import keras_hub
from keras import ops

from keras_tnt.utils.typing import Tensor

CANDIDATES = 1000  # anchors of the highest scores that are considered


class BoxDecoder(keras_hub.layers.NonMaxSuppression):
    """Non-maximum suppression of the best anchors, each class by itself.

    KerasHub's layer needs a batch of a static size and compares boxes of different
    classes. So this one takes the images one by one, and moves the boxes of each class
    to a place of their own. The arguments are those of the layer.
    """

    def call(
        self, box_prediction: Tensor, class_prediction: Tensor, images: Tensor
    ) -> dict[str, Tensor]:
        count = min(CANDIDATES, box_prediction.shape[1])
        _, best = ops.top_k(ops.max(class_prediction, axis=-1), count)
        boxes, classes = (
            ops.take_along_axis(values, best[..., None], axis=1)
            for values in (box_prediction, class_prediction)
        )
        span = 4.0 * max(images.shape[1:3])  # boxes may exceed the image
        limit = ops.convert_to_tensor(span / 2)
        boxes = ops.clip(ops.cast(boxes, "float32"), -limit / 2, limit)
        labels = ops.argmax(classes, axis=-1)
        boxes = boxes + span * ops.cast(labels, "float32")[..., None]

        def suppress(image):
            one = [values[None] for values in image]
            found = super(BoxDecoder, self).call(*one)
            return {name: values[0] for name, values in found.items()}

        found = ops.map(suppress, (boxes, classes))
        labels = found["labels"][..., None]
        moved = found["boxes"] - span * ops.cast(labels, "float32")
        found["boxes"] = ops.where(labels < 0, -1.0, moved)
        return found
