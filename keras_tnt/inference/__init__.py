"""Loading classifiers of any format and segmenters, and predicting with them."""

from keras_tnt.inference.classification import (
    Prediction,
    classify,
    find_images,
    predict_files,
    prepare,
)
from keras_tnt.inference.classifier import Classifier, load_classifier
from keras_tnt.inference.segmentation import (
    Segmenter,
    is_segmenter,
    load_segmenter,
    predict_mask,
    write_mask,
)

__all__ = [
    "Classifier",
    "Prediction",
    "Segmenter",
    "classify",
    "find_images",
    "is_segmenter",
    "load_classifier",
    "load_segmenter",
    "predict_files",
    "predict_mask",
    "prepare",
    "write_mask",
]
