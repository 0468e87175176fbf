"""Training: recipes, the run, the optimizer, where to train, evaluation."""

from keras_tnt.distribute.layout import layout_map
from keras_tnt.evaluation import evaluate
from keras_tnt.training.callbacks import TrainingInterrupted
from keras_tnt.training.ema import ExponentialMovingAverage
from keras_tnt.training.mask_loss import MaskCrossentropy
from keras_tnt.training.optimizer import AdamW
from keras_tnt.training.recipe import Recipe
from keras_tnt.training.recipes import (
    fashion_mnist_demo,
    pyramid_tnt_small_imagenet,
    tnt_small_detection,
    tnt_small_finetune_384,
    tnt_small_imagenet,
    tnt_small_segmentation,
    tnt_tiny_distilled,
    transfer_cifar10,
    transfer_cifar100,
    transfer_flowers,
    transfer_inaturalist2019,
    transfer_pets,
)
from keras_tnt.training.run_directory import RunDirectory
from keras_tnt.training.trainer import train
from keras_tnt.training.training_run import TrainingResult

__all__ = [
    "AdamW",
    "ExponentialMovingAverage",
    "MaskCrossentropy",
    "Recipe",
    "RunDirectory",
    "TrainingInterrupted",
    "TrainingResult",
    "evaluate",
    "fashion_mnist_demo",
    "layout_map",
    "pyramid_tnt_small_imagenet",
    "tnt_small_detection",
    "tnt_small_finetune_384",
    "tnt_small_imagenet",
    "tnt_small_segmentation",
    "tnt_tiny_distilled",
    "train",
    "transfer_cifar10",
    "transfer_cifar100",
    "transfer_flowers",
    "transfer_inaturalist2019",
    "transfer_pets",
]
