"""Training: recipes, the run, the optimizer, where to train, evaluation."""

from keras_tnt.evaluation.compiled import evaluate
from keras_tnt.training.callbacks import StoppedBySignal
from keras_tnt.training.ema import WeightAverage
from keras_tnt.training.optimizer import AdamW
from keras_tnt.training.recipe import Recipe
from keras_tnt.training.recipes import (
    fashion_mnist_demo,
    finetune_384,
    imagenet_300ep,
    pyramid,
)
from keras_tnt.training.run_directory import RunFolder
from keras_tnt.training.trainer import TrainingResult, train

__all__ = [
    "AdamW",
    "Recipe",
    "RunFolder",
    "StoppedBySignal",
    "TrainingResult",
    "WeightAverage",
    "evaluate",
    "fashion_mnist_demo",
    "finetune_384",
    "imagenet_300ep",
    "pyramid",
    "train",
]
