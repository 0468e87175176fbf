"""Detections of a model, at the size of the image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def detections_of(
    predicted: Mapping[str, np.ndarray],
    number: int,
    model_size: tuple[int, int],
    image_size: tuple[int, int],
) -> np.ndarray:
    """Return the detections in one image of a batch.

    Args:
        predicted: what `predict` of a detector returns for the batch.
        number: number of the image in the batch.
        model_size: height and width of the model's input.
        image_size: height and width of the image before it was resized.

    Returns:
        A float32 array ``(detections, 6)`` by falling score: left, top, right and
        bottom in pixels of the image, clipped to it; class; score. Boxes outside of the
        image are left out.

    Example:
        >>> import numpy
        >>> from keras_tnt.tasks.detections import detections_of
        >>> predicted = {"boxes": [[[0, 0, 8, 4], [-1, -1, -1, -1]]],
        ...              "labels": [[2, -1]], "confidence": [[0.5, -1]],
        ...              "num_detections": [1]}
        >>> detections_of(predicted, 0, (8, 8), (16, 32)).tolist()
        [[0.0, 0.0, 32.0, 8.0, 2.0, 0.5]]
    """
    count = int(np.asarray(predicted["num_detections"])[number])
    boxes, labels, scores = (
        np.asarray(predicted[name])[number][:count]
        for name in ("boxes", "labels", "confidence")
    )
    (rows, columns), (height, width) = model_size, image_size
    edges = np.array([width, height, width, height], "float32")
    boxes = boxes * (edges / [columns, rows, columns, rows])
    boxes = np.clip(boxes, 0, edges)
    inside = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
    found = np.column_stack([boxes, labels, scores]).astype("float32")
    found = found[inside]
    return found[np.argsort(-found[:, 5], kind="stable")]
