"""Measure a small segmenter on unseen scenes made of the bundled images.

    python benchmarks/segmentation.py [--directory runs/segmentation] [--epochs 24]

A TNT with the head of UPerNet is trained from scratch by the recipe of
examples/segmentation.py on 8,000 scenes of examples/scenes.py, and evaluated on 300
scenes of other images, those of the example. The goal is a mean IoU of 0.70, at least
0.60, in 20 minutes on two idle cores. 300 harder scenes have less contrast: the
clothing is as dark as the background may be.

The same command again resumes. The seconds are those of the call that ended the
training. The result is benchmarks/results/segmentation.json.
"""

import argparse
import dataclasses
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))

import numpy as np
from distillation import versions
from scenes import write_scenes
from segmentation import scene_recipe

from keras_tnt.data import load_mask_dataset
from keras_tnt.evaluation import evaluate_segmenter
from keras_tnt.training import train
from keras_tnt.utils.files import write_json

RESULTS = pathlib.Path(__file__).parent / "results" / "segmentation.json"
SPLITS = {
    "train": {"split": "train[:90%]", "count": 8000},
    "validation": {"split": "train[90%:]", "count": 100, "seed": 2},
    "test": {"split": "test", "count": 300, "seed": 1},
}
HARDER = {"test": SPLITS["test"] | {"brightness": 64}}


def main():
    """Train, evaluate and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--directory", default="runs/segmentation")
    parser.add_argument("--epochs", type=int, default=24)
    options = parser.parse_args()
    directory = pathlib.Path(options.directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_scenes(directory / "scenes", SPLITS)
    write_scenes(directory / "harder", HARDER)
    recipe = scene_recipe(directory / "scenes", options.epochs)
    start, cpu = time.monotonic(), time.process_time()
    result = train(recipe, directory / "run", verbose=2)
    record = {
        "seconds": time.monotonic() - start,
        "cpu_seconds": time.process_time() - cpu,
        "cores": os.cpu_count(),
        "history": result.history,
    }
    for name in ("scenes", "harder"):
        source = load_mask_dataset(str(directory / name), "test")
        report = evaluate_segmenter(result.model, source, batch_size=50)
        classes = dict(zip(report.class_names, report.iou, strict=True))
        record[name] = {
            "mean_iou": report.mean_iou,
            "pixel_accuracy": report.accuracy,
            "iou": classes,
        }
        print(f"{name}: mean IoU {report.mean_iou:.3f}", np.round(report.iou, 2))
    # The scenes are in another directory each time.
    record["recipe"] = dataclasses.asdict(recipe) | {"data": "scenes"}
    record["versions"] = versions()
    write_json(record, RESULTS)


if __name__ == "__main__":
    main()
