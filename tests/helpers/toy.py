"""The smallest training: a recipe of a few seconds on the embedded images."""

import dataclasses
import os

from keras_tnt.training import fashion_mnist_demo

OPTIONS = {
    "outer_dim": 16,
    "inner_dim": 4,
    "depth": 2,
    "outer_num_heads": 2,
    "inner_num_heads": 1,
    "patch_size": 14,
    "inner_stride": 7,
}


def toy_recipe(**changes):
    """120 images in 15 steps an epoch, two epochs."""
    options = OPTIONS | changes.pop("model_options", {})
    toy = {
        "model_options": options,
        "train_split": "train[:1%]",
        "validation_split": "test[:2%]",
        "epochs": 2,
        "batch_size": 8,
        "checkpoint_every": 4,
        "deterministic": False,
    }
    return dataclasses.replace(fashion_mnist_demo(), **(toy | changes))


def environment_without_coverage():
    """For a process with a limit on the size of files, which coverage's would meet."""
    return {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
