"""Loading classifiers of any format, and predicting with them."""

from keras_tnt.inference.classification import (
    Prediction,
    classify,
    find_images,
    predict_files,
    prepare,
)
from keras_tnt.inference.classifier import Classifier, load_classifier

__all__ = [
    "Classifier",
    "Prediction",
    "classify",
    "find_images",
    "load_classifier",
    "predict_files",
    "prepare",
]
