"""`keras-tnt evaluate`."""

import argparse
import json
import sys
from typing import Any

from keras_tnt.cli.evaluate_dense import KINDS, evaluate_dense
from keras_tnt.cli.options import add_precision_option
from keras_tnt.evaluation import (
    evaluate_classifier,
    evaluate_corruptions,
    load_benchmark,
    write_report,
)
from keras_tnt.evaluation.benchmarks import BENCHMARKS, CORRUPTED
from keras_tnt.evaluation.corruptions import write_corruptions
from keras_tnt.evaluation.summary import summarize
from keras_tnt.inference import load_classifier, run_task
from keras_tnt.inference.classifier import Classifier
from keras_tnt.models.image_size import at_image_size
from keras_tnt.utils.files import create_or_next_directory
from keras_tnt.visualization.figure import require_matplotlib
from keras_tnt.visualization.plot_reliability import plot_reliability
from keras_tnt.visualization.plot_results import plot_confusion


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    evaluate = commands.add_parser(
        "evaluate", help="evaluate a model, or a run of another task, on a data set"
    )
    evaluate.add_argument("--model", required=True, help="a model, as for predict")
    evaluate.add_argument(
        "--data",
        required=True,
        help=f"a test set of ImageNet ({', '.join(BENCHMARKS)}), fashion_mnist_mini, a "
        "tfds set, or a directory",
    )
    evaluate.add_argument(
        "--split",
        help="a split or slice, such as test or test[:10%%]; by default the one that "
        "is reported, for test sets of ImageNet",
    )
    evaluate.add_argument("--data-dir", help="directory of tensorflow_datasets' files")
    evaluate.add_argument(
        "--batch-size",
        type=int,
        help="images a step, by default 16 on CPUs, else 64, and 8 for a run of "
        "segmentation or detection",
    )
    evaluate.add_argument(
        "--skip-corrupt", action="store_true", help="skip images that cannot be decoded"
    )
    evaluate.add_argument(
        "--all-classes",
        action="store_true",
        help="take the answers among all classes of the model, if the data set has "
        "only some of them",
    )
    evaluate.add_argument(
        "--image-size",
        type=int,
        help="height and width of the images, if not the model's own; its position "
        "embeddings are resampled",
    )
    evaluate.add_argument(
        "--crop-fraction",
        type=float,
        help="side of the center crop as a share of the resized image; by default the "
        "model's own, and 1 for imagenet_c, whose images are cropped already",
    )
    add_precision_option(evaluate)
    evaluate.add_argument(
        "--flip",
        action="store_true",
        help="test-time augmentation: also show the images mirrored",
    )
    evaluate.add_argument(
        "--five-crops",
        action="store_true",
        help="test-time augmentation: also show the corners of the images",
    )
    evaluate.add_argument(
        "--out",
        help="a new directory; by default evaluation, evaluation-2, …",
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    _check(options)
    task = run_task(options.model)
    if task in KINDS:
        evaluate_dense(options, task)
        return
    require_matplotlib()
    arguments = {
        "batch_size": options.batch_size,
        "skip_corrupt": options.skip_corrupt,
        "all_classes": options.all_classes,
        "flip": options.flip,
        "five_crops": options.five_crops,
        "verbose": int(sys.stdout.isatty() and not options.json),
    }
    split, corruptions = options.split, None
    if split is None and options.data in BENCHMARKS:
        split = BENCHMARKS[options.data].split
    if options.data == CORRUPTED:
        classifier = _load(options)
        corruptions = evaluate_corruptions(
            classifier, split, options.data_dir, **arguments
        )
        report = corruptions.report
    else:
        source = load_benchmark(options.data, split, options.data_dir)
        classifier = _load(options)
        report = evaluate_classifier(classifier, source, **arguments)
    settings = _settings(options, classifier, split)
    if corruptions:
        settings |= corruptions.figures
    directory = create_or_next_directory(options.out, "evaluation")
    write_report(report, directory, settings)
    plot_reliability(report.calibration, directory / "reliability.png")
    if report.confusion is not None:
        names = report.class_names
        plot_confusion(report.confusion, names, directory / "confusion.png")
    if corruptions:
        write_corruptions(corruptions, directory / "corruptions.csv")
    if options.json:
        print(json.dumps(settings | report.figures))
    else:
        print("\n".join(summarize(report, settings)))
        print(f"{directory} has the report, its figures and tables.")


def _check(options):
    if options.batch_size is not None and options.batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1, got {options.batch_size}.")
    if options.image_size is not None and options.image_size < 1:
        raise ValueError(f"--image-size must be at least 1, got {options.image_size}.")
    if options.crop_fraction is not None and not 0 < options.crop_fraction <= 1:
        raise ValueError(
            "--crop-fraction must be above 0 and at most 1, got "
            f"{options.crop_fraction}."
        )


def _load(options) -> Classifier:
    """The classifier, with the image size and the crop of the options."""
    classifier = load_classifier(options.model, precision=options.precision)
    if options.image_size:
        model = at_image_size(classifier.model, (options.image_size,) * 2)
        classifier = classifier._replace(model=model)
    crop_fraction = options.crop_fraction
    if crop_fraction is None and options.data == CORRUPTED:
        crop_fraction = 1.0
    if crop_fraction is not None:
        classifier = classifier._replace(crop_fraction=crop_fraction)
    return classifier


def _settings(options, classifier, split) -> dict[str, Any]:
    """What was evaluated and how, and the published accuracies."""
    settings = {
        "model": options.model,
        "data": options.data,
        "split": split,
        "image_size": list(classifier.model.input_shape[1:3]),
        "crop_fraction": classifier.crop_fraction,
        "precision": classifier.precision,
        "flip": options.flip,
        "five_crops": options.five_crops,
    }
    if options.data in BENCHMARKS:
        settings["published"] = BENCHMARKS[options.data].published
    return settings
