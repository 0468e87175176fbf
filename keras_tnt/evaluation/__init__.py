"""Evaluation of classifiers, segmenters and detectors."""

from keras_tnt.evaluation.benchmarks import load_benchmark
from keras_tnt.evaluation.box_evaluator import evaluate_detector
from keras_tnt.evaluation.box_report import BoxReport, average_precision
from keras_tnt.evaluation.class_matching import match_classes
from keras_tnt.evaluation.compiled import evaluate
from keras_tnt.evaluation.corruptions import CorruptionReport, evaluate_corruptions
from keras_tnt.evaluation.evaluator import evaluate_classifier
from keras_tnt.evaluation.mask_evaluator import evaluate_segmenter
from keras_tnt.evaluation.mask_report import MaskReport
from keras_tnt.evaluation.reliability import Calibration
from keras_tnt.evaluation.report import Report, write_report

__all__ = [
    "BoxReport",
    "Calibration",
    "CorruptionReport",
    "MaskReport",
    "Report",
    "average_precision",
    "evaluate",
    "evaluate_classifier",
    "evaluate_corruptions",
    "evaluate_detector",
    "evaluate_segmenter",
    "load_benchmark",
    "match_classes",
    "write_report",
]
