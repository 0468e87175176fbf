"""Evaluation of detectors at the original size of the images."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from keras_tnt.data.box_pipeline import encoded_box_dataset
from keras_tnt.data.box_source import BoxSource
from keras_tnt.data.error_handling import readable_errors
from keras_tnt.evaluation.box_report import BoxReport, average_precision
from keras_tnt.evaluation.mask_evaluator import predict_batch
from keras_tnt.structure.architecture import image_shape
from keras_tnt.tasks.detections import detections_of
from keras_tnt.utils.counts import check_count


def evaluate_detector(
    model: keras.Model,
    source: BoxSource,
    batch_size: int = 8,
    skip_corrupt: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> BoxReport:
    """Compare the detections of a model with boxes, as the COCO challenge does.

    An image is resized to the model's size, whatever its aspect ratio. Boxes are
    compared at the image's own size, by pycocotools. Crowds are no misses, and
    detections inside of them no errors.

    Args:
        model: a detector of images 0-255, such as `keras_tnt.tasks.detector` builds.
        source: the images and boxes, from `keras_tnt.data.load_box_dataset`.
        batch_size: images a step.
        skip_corrupt: whether to leave out images that cannot be decoded.
        callbacks: Keras callbacks, of which ``on_test_batch_end`` is called.

    Returns:
        A `BoxReport`.

    Raises:
        ImportError: if pycocotools is not installed.
        ValueError: if the model has another number of classes; or if an image or its
            annotations cannot be used, which it names.

    Example:
        ```python
        from keras_tnt.data import load_box_dataset
        from keras_tnt.evaluation import evaluate_detector

        source = load_box_dataset("coco2017", "validation")
        print(evaluate_detector(model, source).ap)
        ```
    """
    classes = len(source.class_names)
    found = getattr(model, "num_classes", None)
    if found != classes:
        raise ValueError(
            f"{source.name!r} has {classes} classes, expected a detector of as many, "
            f"got one of {found}."
        )
    batch_size = check_count("batch_size", batch_size)
    shape = image_shape(model)
    truths, detections = [], []
    dataset = encoded_box_dataset(source, shape, batch_size, skip_corrupt)
    with readable_errors():
        for step, (images, sizes, objects, weights) in enumerate(dataset):
            predicted = predict_batch(model, images.numpy())
            for place in np.flatnonzero(weights).tolist():
                size = tuple(sizes[place].numpy().tolist())
                truths.append(source.objects(objects[place].numpy(), size))
                detections.append(detections_of(predicted, place, shape[:2], size))
            for callback in callbacks:
                callback.on_test_batch_end(step)
    return average_precision(
        truths, detections, source.class_names, corrupt=len(source.corrupt)
    )
