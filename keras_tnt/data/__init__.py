"""Data sets for training and evaluation."""

from keras_tnt.data.augmentation.config import (
    FINETUNE_AUGMENTATION,
    FLIP_AUGMENTATION,
    IMAGENET_AUGMENTATION,
    Augmentation,
)
from keras_tnt.data.bundled import fashion_mnist_mini, fashion_mnist_mini_class_names
from keras_tnt.data.datasets import load_dataset
from keras_tnt.data.pipeline import image_dataset
from keras_tnt.data.source import ImageSource

__all__ = [
    "FINETUNE_AUGMENTATION",
    "FLIP_AUGMENTATION",
    "IMAGENET_AUGMENTATION",
    "Augmentation",
    "ImageSource",
    "fashion_mnist_mini",
    "fashion_mnist_mini_class_names",
    "image_dataset",
    "load_dataset",
]
