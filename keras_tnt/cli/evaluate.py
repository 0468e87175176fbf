"""`keras-tnt evaluate`."""

import argparse
import json
import sys

from keras_tnt.data import load_dataset
from keras_tnt.evaluation import evaluate_classifier, write_report
from keras_tnt.inference import load_classifier
from keras_tnt.utils.files import create_or_next_directory
from keras_tnt.visualization.figure import require_matplotlib
from keras_tnt.visualization.plot_results import plot_confusion


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    evaluate = commands.add_parser(
        "evaluate", help="evaluate the accuracy of a model on a data set"
    )
    evaluate.add_argument("--model", required=True, help="a model, as for predict")
    evaluate.add_argument(
        "--data", required=True, help="fashion_mnist_mini, a tfds set, or a directory"
    )
    evaluate.add_argument(
        "--split", help="a split or slice, such as test or test[:10%%]"
    )
    evaluate.add_argument("--data-dir", help="directory of tensorflow_datasets' files")
    evaluate.add_argument("--batch-size", type=int, default=64, help="images a step")
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
        "--out",
        help="a new directory; by default evaluation, evaluation-2, …",
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    require_matplotlib()
    if options.batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1, got {options.batch_size}.")
    source = load_dataset(options.data, options.split, options.data_dir)
    classifier = load_classifier(options.model)
    report = evaluate_classifier(
        classifier,
        source,
        options.batch_size,
        options.skip_corrupt,
        verbose=int(sys.stdout.isatty() and not options.json),
        all_classes=options.all_classes,
    )
    directory = create_or_next_directory(options.out, "evaluation")
    write_report(report, directory)
    plot_confusion(report.confusion, report.class_names, directory / "confusion.png")
    if options.json:
        print(json.dumps(report.figures | {"corrupt": len(source.corrupt)}))
        return
    print(
        f"Top-1 {report.top_1:.2%}, top-5 {report.top_5:.2%} of {report.images} "
        f"images; {len(source.corrupt)} could not be decoded."
    )
    print(report.restriction)
    classes = zip(report.per_class, report.class_names, strict=True)
    worst = sorted((share, name) for share, name in classes if share == share)[:5]
    print("The hardest classes: " + ", ".join(f"{n} {s:.1%}" for s, n in worst) + ".")
    print(
        f"{directory} has the report, the accuracy by class and the confusion matrix."
    )
