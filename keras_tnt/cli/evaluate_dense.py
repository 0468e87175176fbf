"""`keras-tnt evaluate` with the runs of segmenters and detectors."""

import argparse
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from keras_tnt.data import load_box_dataset, load_mask_dataset
from keras_tnt.evaluation import evaluate_detector, evaluate_segmenter
from keras_tnt.evaluation.report import write_csv
from keras_tnt.inference import load_detector, load_segmenter
from keras_tnt.utils.files import create_or_next_directory, write_json


class Kind(NamedTuple):
    """How to evaluate a task.

    Attributes:
        load: function from a run directory to a model with the names of its classes.
        load_dataset: function that loads a data set.
        evaluate: function from a model and a data set to a report.
        figures: attributes of the report, by the name that is printed.
        of_class: attribute of the report with a value for each class.
    """

    load: Callable
    load_dataset: Callable
    evaluate: Callable
    figures: dict[str, str]
    of_class: str


KINDS = {
    "segmentation": Kind(
        load_segmenter,
        load_mask_dataset,
        evaluate_segmenter,
        {"mean IoU": "mean_iou", "pixel accuracy": "accuracy", "loss": "loss"},
        "iou",
    ),
    "detection": Kind(
        load_detector,
        load_box_dataset,
        evaluate_detector,
        {
            "AP": "ap",
            "AP50": "ap50",
            "AP75": "ap75",
            "AP of small objects": "ap_small",
            "of medium ones": "ap_medium",
            "of large ones": "ap_large",
        },
        "class_ap",
    ),
}
BATCH_SIZE = 8
# Options of the command that are for classifiers.
OTHERS = (
    "all_classes",
    "image_size",
    "crop_fraction",
    "precision",
    "flip",
    "five_crops",
)


def evaluate_dense(options: argparse.Namespace, task: str) -> None:
    """Evaluate a run, and write `report.json` and `classes.csv`."""
    for name in OTHERS:
        if getattr(options, name):
            raise ValueError(
                f"--{name.replace('_', '-')} is for classifiers, and {options.model!r} "
                f"is a run of {task}. Leave it out."
            )
    kind = KINDS[task]
    source = kind.load_dataset(options.data, options.split, options.data_dir)
    model, names = kind.load(options.model)
    if tuple(names) != tuple(source.class_names):
        raise ValueError(
            f"{options.model!r} has the classes {list(names)[:5]} … ({len(names)}), "
            f"{source.name!r} has {list(source.class_names)[:5]} … "
            f"({len(source.class_names)}). Expected the same, in the same order."
        )
    report = kind.evaluate(
        model,
        source,
        batch_size=options.batch_size or BATCH_SIZE,
        skip_corrupt=options.skip_corrupt,
    )
    figures = {name: getattr(report, name) for name in kind.figures.values()}
    record: dict[str, Any] = {
        "model": options.model,
        "data": options.data,
        "split": options.split,
        "images": report.images,
        "corrupt": report.corrupt,
        **{name: None if math.isnan(v) else v for name, v in figures.items()},
    }
    directory = create_or_next_directory(options.out, "evaluation")
    write_json(record, directory / "report.json")
    rows = zip(names, getattr(report, kind.of_class), strict=True)
    write_csv(["class", kind.of_class], rows, directory / "classes.csv")
    if options.json:
        print(json.dumps(record))
        return
    found = [
        f"{label} {figures[name]:.4f}"
        for label, name in kind.figures.items()
        if not math.isnan(figures[name])
    ]
    print(
        f"{', '.join(found)} on {report.images} images; {report.corrupt} could not be "
        f"decoded.\n{directory} has the report and a table of the classes."
    )
