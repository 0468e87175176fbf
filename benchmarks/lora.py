"""Compare fine-tuning with LoRA and of all weights on the bundled data set.

    python benchmarks/lora.py [--directory runs/lora]

A TNT is trained on five classes of the bundled data set, those of even labels. It is
then fine-tuned on 100 images of each of the other five, once with `lora_rank=8` and
once with all weights, for as many steps. The peak learning rate of each is the best of
five on 500 other images, by the mean of two seeds. Then both are fine-tuned with five
other seeds and evaluated on 5,950 other images. Runs of one seed have the same initial
head and see the same images in the same order, so their difference is paired.

The same command again resumes. The result is benchmarks/results/lora.json.
"""

import argparse
import dataclasses
import math
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from distillation import best_rates, compare, versions

from keras_tnt import merge_lora
from keras_tnt.data import load_dataset
from keras_tnt.evaluation import evaluate
from keras_tnt.training import fashion_mnist_demo, train
from keras_tnt.utils.files import write_json

RESULTS = pathlib.Path(__file__).parent / "results" / "lora.json"
TUNING_SEEDS = (100, 101)
TEST_SEEDS = range(10, 15)
# Folders of the new classes, and the first number of the images of each class in them,
# of 1,200. The 200 of the test split are in the last one too.
FOLDERS = {"new/train": 0, "new/validation": 100, "tuning": 110, "test": 210}
RATES = {
    "lora": (4e-3, 8e-3, 16e-3, 32e-3, 64e-3),
    "full": (0.5e-3, 1e-3, 2e-3, 4e-3, 8e-3),
}
FIRST = dataclasses.replace(
    fashion_mnist_demo(),
    model_options=fashion_mnist_demo().model_options | {"outer_dim": 128},
    epochs=6,
    learning_rate=2e-3,
    final_learning_rate=2e-5,
    deterministic=False,
)


def main():
    """Train all models, print the comparison and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--directory", default="runs/lora")
    runs = pathlib.Path(parser.parse_args().directory)
    write_folders(runs)
    first = train(
        dataclasses.replace(FIRST, data=str(runs / "known"), validation_split="test"),
        runs / "first",
        verbose=0,
    )
    full = dataclasses.replace(
        FIRST,
        data=str(runs / "new"),
        validation_split="validation",
        weights=str(runs / "first" / "model.keras"),
        epochs=20,
        batch_size=32,
        final_learning_rate=0.0,
    )
    recipes = {"lora": dataclasses.replace(full, lora_rank=8), "full": full}
    record = {
        "first": first.history[-1]["val_accuracy"],
        "tuning": {
            name: {
                rate: [
                    fine_tune(recipe, rate, seed, runs, name, "tuning")["accuracy"]
                    for seed in TUNING_SEEDS
                ]
                for rate in RATES[name]
            }
            for name, recipe in recipes.items()
        },
    }
    record["rates"] = best_rates(record["tuning"])
    record["test"] = {
        name: [
            fine_tune(recipe, record["rates"][name], seed, runs, name, "test")
            for seed in TEST_SEEDS
        ]
        for name, recipe in recipes.items()
    }
    record |= compare(
        *([row["accuracy"] for row in record["test"][name]] for name in recipes)
    )
    # Paths within the directory of the runs, which is another one each time.
    record["recipe"] = dataclasses.asdict(recipes["lora"]) | {
        "weights": "first/model.keras",
        "data": "new",
    }
    record["versions"] = versions()
    write_json(record, RESULTS)
    print_comparison(record)


def write_folders(runs):
    """Write the bundled images into image folders, unless they are there."""
    if (runs / "complete").exists():
        return
    for split in ("train", "test"):
        source = load_dataset("fashion_mnist_mini", split)
        counts = [0] * 10
        for index in range(len(source)):
            content, label = (part.numpy() for part in source.fetch(index))
            number = counts[label]
            counts[label] += 1
            directory = runs / folder_of(split, label, number) / f"class_{label}"
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f"{split}_{number:04}.png").write_bytes(content)
    (runs / "complete").touch()


def folder_of(split, label, number):
    """Return the folder of an image."""
    if label % 2 == 0:
        return f"known/{split}"
    if split == "test":
        return "test"
    return [name for name, first in FOLDERS.items() if first <= number][-1]


def fine_tune(recipe, rate, seed, runs, name, folder):
    """Fine-tune and return accuracy, trained share and the change by merging."""
    recipe = dataclasses.replace(recipe, learning_rate=rate, seed=seed)
    model = train(recipe, runs / f"{name}-rate-{rate}-seed-{seed}", verbose=0).model
    source = load_dataset(str(runs / folder))
    found = evaluate(model, source, batch_size=250, crop_fraction=recipe.crop_fraction)
    row = {"accuracy": found["accuracy"]}
    if name == "lora" and folder == "test":
        images = np.random.default_rng(0).random((64, *model.input_shape[1:])) * 255
        merged = merge_lora(model)
        trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        row["trained_share"] = trained / model.count_params()
        row["change_by_merging"] = float(
            np.abs(merged.predict(images) - model.predict(images)).max()
        )
    return row


def print_comparison(record):
    """Print rates, accuracies and their difference."""
    for name, rows in record["test"].items():
        accuracies = [row["accuracy"] for row in rows]
        print(
            f"{name}: {np.mean(accuracies):.2%} at the rate {record['rates'][name]} "
            f"({', '.join(f'{value:.2%}' for value in accuracies)})"
        )
    row = record["test"]["lora"][0]
    print(f"trained share: {row['trained_share']:.2%}")
    print(f"largest change by merging: {row['change_by_merging']:.1g}")
    low, high = record["interval_95"]
    print(
        f"LoRA against all weights: {record['mean_difference']:+.2%}, 95 % interval "
        f"{low:+.2%} to {high:+.2%}"
    )


if __name__ == "__main__":
    main()
