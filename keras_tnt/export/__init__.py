"""Exports: what leaves the package and runs without it."""

from keras_tnt.export.box_export import export_detector
from keras_tnt.export.exporter import export_model
from keras_tnt.export.mask_export import export_segmenter
from keras_tnt.export.saved_model import check_saved_model, export_saved_model

__all__ = [
    "check_saved_model",
    "export_detector",
    "export_model",
    "export_saved_model",
    "export_segmenter",
]
