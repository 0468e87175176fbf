"""Loading classifiers of any format, and predicting with them."""

from keras_tnt.inference.classifier import (
    Classifier,
    Prediction,
    classify,
    find_images,
    load_classifier,
    predict_files,
    prepare,
)

__all__ = [
    "Classifier",
    "Prediction",
    "classify",
    "find_images",
    "load_classifier",
    "predict_files",
    "prepare",
]
