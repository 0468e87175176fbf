"""Evaluation of classifiers."""

from keras_tnt.evaluation.evaluator import (
    Report,
    evaluate,
    evaluate_classifier,
    match_classes,
    write_report,
)

__all__ = ["Report", "evaluate", "evaluate_classifier", "match_classes", "write_report"]
