"""Measure a small segmenter and a small detector on unseen scenes.

    python benchmarks/dense_tasks.py segmentation [--directory runs/benchmark]
    python benchmarks/dense_tasks.py detection

A TNT with a head is trained from scratch by the recipe of examples/segmentation.py or
examples/detection.py, on 8,000 scenes that examples/scenes.py makes of the bundled
images, and evaluated on 300 scenes of other images, those of the example. 300 harder
scenes have less contrast: the clothing is as dark as the background may be.

Goals, in 20 minutes on two idle cores: a mean IoU of 0.70, at least 0.60, and an AP50
of 0.55, at least 0.45.

The same command again resumes. The seconds are those of the call that ended the
training. The result is benchmarks/results/TASK.json, and TASK.png of some scenes in the
directory.
"""

import argparse
import dataclasses
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))

import detection
import segmentation
from distillation import versions
from scenes import write_scenes

from keras_tnt.data import load_box_dataset, load_mask_dataset
from keras_tnt.evaluation import evaluate_detector, evaluate_segmenter
from keras_tnt.training import train
from keras_tnt.utils.files import write_json

RESULTS = pathlib.Path(__file__).parent / "results"
SPLITS = {
    "train": {"split": "train[:90%]", "count": 8000},
    "validation": {"split": "train[90%:]", "count": 100, "seed": 2},
    "test": {"split": "test", "count": 300, "seed": 1},
}
HARDER = {"test": SPLITS["test"] | {"brightness": 64}}
EPOCHS = {"segmentation": 24, "detection": 3}


def evaluate(task, model, directory):
    """Return what a model reaches on the test split of a directory."""
    if task == "detection":
        source = load_box_dataset(str(directory), "test")
        report = evaluate_detector(model, source, batch_size=50)
        figures = {"ap50": report.ap50, "ap": report.ap, "ap75": report.ap75}
        return figures | {
            "class_ap": dict(zip(source.class_names, report.class_ap, strict=True))
        }
    source = load_mask_dataset(str(directory), "test")
    report = evaluate_segmenter(model, source, batch_size=50)
    figures = {"mean_iou": report.mean_iou, "pixel_accuracy": report.accuracy}
    return figures | {"iou": dict(zip(source.class_names, report.iou, strict=True))}


def main():
    """Train, evaluate and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("task", choices=tuple(EPOCHS))
    parser.add_argument("--directory", default="runs/benchmark")
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()
    task = options.task
    directory = pathlib.Path(options.directory) / task
    directory.mkdir(parents=True, exist_ok=True)
    for name, splits in (("scenes", SPLITS), ("harder", HARDER)):
        write_scenes(directory / name, splits, boxes=task == "detection")
    example = {"segmentation": segmentation, "detection": detection}[task]
    epochs = options.epochs or EPOCHS[task]
    recipe = example.scene_recipe(directory / "scenes", epochs)
    start, cpu = time.monotonic(), time.process_time()
    result = train(recipe, directory / "run", verbose=2)
    record = {
        "seconds": time.monotonic() - start,
        "cpu_seconds": time.process_time() - cpu,
        "cores": os.cpu_count(),
        "history": result.history,
    }
    for name in ("scenes", "harder"):
        record[name] = evaluate(task, result.model, directory / name)
        print(name, record[name])
    example.plot(result.model, directory / f"{task}.png")
    # The scenes are in another directory each time.
    record["recipe"] = dataclasses.asdict(recipe) | {"data": "scenes"}
    record["versions"] = versions()
    write_json(record, RESULTS / f"{task}.json")


if __name__ == "__main__":
    main()
