"""Training: recipes, the optimizer, where to train, and what a run leaves behind."""

from keras_tnt.training.optimizer import AdamW
from keras_tnt.training.recipe import Recipe, fashion_mnist_demo

__all__ = ["AdamW", "Recipe", "fashion_mnist_demo"]
