"""Models for dense tasks, from a TNT or PyramidTNT and a head."""

from keras_tnt.tasks.detector_builder import detector
from keras_tnt.tasks.segmenter_builder import segmenter

__all__ = ["detector", "segmenter"]
