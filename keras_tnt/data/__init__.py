"""Data sets for training and evaluation."""

from keras_tnt.data.embedded import fashion_mnist_mini, fashion_mnist_mini_class_names

__all__ = ["fashion_mnist_mini", "fashion_mnist_mini_class_names"]
