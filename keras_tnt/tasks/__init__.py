"""Models for dense tasks, from a TNT or PyramidTNT and a head."""

from keras_tnt.tasks.segmenter import segmenter

__all__ = ["segmenter"]
