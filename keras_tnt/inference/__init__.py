"""Loading classifiers of any format, segmenters and detectors, and predicting."""

from keras_tnt.inference.classification import (
    Prediction,
    classify,
    find_images,
    predict_files,
    prepare,
)
from keras_tnt.inference.classifier import Classifier, load_classifier
from keras_tnt.inference.dense_runs import run_task
from keras_tnt.inference.detection import Detection, Detector, detect, load_detector
from keras_tnt.inference.segmentation import (
    Segmenter,
    load_segmenter,
    predict_mask,
    write_mask,
)

__all__ = [
    "Classifier",
    "Detection",
    "Detector",
    "Prediction",
    "Segmenter",
    "classify",
    "detect",
    "find_images",
    "load_classifier",
    "load_detector",
    "load_segmenter",
    "predict_files",
    "predict_mask",
    "prepare",
    "run_task",
    "write_mask",
]
