"""Data sets for training and evaluation."""

from keras_tnt.data.augmentation.config import (
    FINETUNE_AUGMENTATION,
    FLIP_AUGMENTATION,
    IMAGENET_AUGMENTATION,
    Augmentation,
)
from keras_tnt.data.box_check import check_boxes
from keras_tnt.data.box_datasets import load_box_dataset
from keras_tnt.data.box_pipeline import box_dataset
from keras_tnt.data.box_source import BoxSource
from keras_tnt.data.bundled import fashion_mnist_mini, fashion_mnist_mini_class_names
from keras_tnt.data.datasets import load_dataset
from keras_tnt.data.mask_check import check_masks
from keras_tnt.data.mask_datasets import load_mask_dataset
from keras_tnt.data.mask_pipeline import mask_dataset
from keras_tnt.data.mask_source import MaskSource
from keras_tnt.data.pipeline import image_dataset
from keras_tnt.data.source import ImageSource

__all__ = [
    "FINETUNE_AUGMENTATION",
    "FLIP_AUGMENTATION",
    "IMAGENET_AUGMENTATION",
    "Augmentation",
    "BoxSource",
    "ImageSource",
    "MaskSource",
    "box_dataset",
    "check_boxes",
    "check_masks",
    "fashion_mnist_mini",
    "fashion_mnist_mini_class_names",
    "image_dataset",
    "load_box_dataset",
    "load_dataset",
    "load_mask_dataset",
    "mask_dataset",
]
