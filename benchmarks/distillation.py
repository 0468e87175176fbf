"""Compare a small TNT with and without a teacher on the bundled data set.

    python benchmarks/distillation.py [--directory runs/distillation]

A TNT is trained on 10,200 images. A smaller one is trained on the first 600 of these,
once from the labels alone, once also from the first one as its teacher, for as many
steps. The peak learning rate of each is the best of four on 600 other images, which no
model has seen, by the mean of three seeds. Then both are trained with five other seeds
and evaluated on the test images. Runs of one seed have the same initial weights and see
the same images in the same order, so their difference is paired.

The same command again resumes. The result is benchmarks/results/distillation.json.
"""

import argparse
import dataclasses
import os
import pathlib
import platform

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import scipy.stats
import tensorflow as tf

from keras_tnt.training import fashion_mnist_demo, train
from keras_tnt.utils.files import write_json

RESULTS = pathlib.Path(__file__).parent / "results" / "distillation.json"
TUNING_SEEDS = (100, 101, 102)
TEST_SEEDS = range(10, 15)
RATES = (8e-3, 16e-3, 32e-3, 64e-3)
TEACHER = dataclasses.replace(
    fashion_mnist_demo(),
    train_split="train[:85%]",
    label_smoothing=0.0,
    epochs=8,
    seed=TUNING_SEEDS[0],
)
STUDENT = dataclasses.replace(
    TEACHER,
    model_options=TEACHER.model_options
    | {
        "outer_dim": 32,
        "inner_dim": 4,
        "depth": 2,
        "outer_num_heads": 2,
        "inner_num_heads": 1,
        "inner_stride": 4,
    },
    train_split="+".join(20 * ["train[:5%]"]),  # 20 passes, evaluated once
    epochs=3,
    checkpoint_every=10_000,
)
DISTILLATION = {"distillation": "soft", "distillation_alpha": 0.9}
HELD_OUT = "train[95%:]"


def main():
    """Train all models, print the comparison and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--directory", default="runs/distillation")
    options = parser.parse_args()
    runs = pathlib.Path(options.directory)
    teacher = runs / "teacher"
    recipes = {
        "alone": STUDENT,
        "taught": dataclasses.replace(STUDENT, teacher=str(teacher), **DISTILLATION),
    }
    record = {
        "teacher": accuracy(TEACHER, teacher),
        "tuning": {
            name: {
                rate: [
                    accuracy(
                        dataclasses.replace(recipe, learning_rate=rate, seed=seed),
                        runs / f"{name}-rate-{rate}-seed-{seed}",
                        HELD_OUT,
                    )
                    for seed in TUNING_SEEDS
                ]
                for rate in RATES
            }
            for name, recipe in recipes.items()
        },
    }
    record["rates"] = best_rates(record["tuning"])
    record["test"] = {
        name: [
            accuracy(
                dataclasses.replace(
                    recipe, learning_rate=record["rates"][name], seed=seed
                ),
                runs / f"{name}-seed-{seed}",
            )
            for seed in TEST_SEEDS
        ]
        for name, recipe in recipes.items()
    }
    record |= compare(record["test"]["taught"], record["test"]["alone"])
    record["recipe_teacher"] = dataclasses.asdict(TEACHER)
    record["recipe_student"] = dataclasses.asdict(STUDENT)
    record["distillation"] = DISTILLATION
    record["versions"] = versions()
    write_json(record, RESULTS)
    print_comparison(record)


def accuracy(recipe, directory, split="test"):
    """Train with a recipe and return the accuracy after its last epoch."""
    recipe = dataclasses.replace(recipe, validation_split=split)
    return train(recipe, directory, verbose=0).history[-1]["val_accuracy"]


def best_rates(tuning):
    """Return the rate of the highest mean accuracy, by name."""
    return {
        name: max(found, key=lambda rate: np.mean(found[rate]))
        for name, found in tuning.items()
    }


def versions():
    """Return the versions of what a result depends on."""
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


def compare(taught, alone):
    """Return the mean paired difference with its 95 % interval, from Student's t."""
    differences = np.subtract(taught, alone)
    interval = scipy.stats.t.interval(
        0.95,
        len(differences) - 1,
        differences.mean(),
        scipy.stats.sem(differences),
    )
    return {
        "differences": differences.tolist(),
        "mean_difference": float(differences.mean()),
        "interval_95": [float(bound) for bound in interval],
    }


def print_comparison(record):
    """Print rates, accuracies and their difference."""
    print(f"teacher: {record['teacher']:.2%}")
    for name, accuracies in record["test"].items():
        print(
            f"{name}: {np.mean(accuracies):.2%} at the rate {record['rates'][name]} "
            f"({', '.join(f'{value:.2%}' for value in accuracies)})"
        )
    low, high = record["interval_95"]
    print(
        f"difference: {record['mean_difference']:+.2%}, 95 % interval {low:+.2%} to "
        f"{high:+.2%}"
    )


if __name__ == "__main__":
    main()
