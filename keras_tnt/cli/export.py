"""`keras-tnt export`."""

import argparse
import glob
from pathlib import Path

import keras

from keras_tnt.cli.options import image_size
from keras_tnt.data import image_dataset
from keras_tnt.export import export_detector, export_model, export_segmenter
from keras_tnt.export.exporter import PRECISIONS
from keras_tnt.images import load_image
from keras_tnt.inference import (
    find_images,
    load_classifier,
    load_detector,
    load_segmenter,
    prepare,
    run_task,
)
from keras_tnt.utils.lazy import tensorflow as tf

# How to load and to export the runs of other tasks than classification.
DENSE = {
    "segmentation": (load_segmenter, export_segmenter),
    "detection": (load_detector, export_detector),
}
CALIBRATION_IMAGES = 300  # more do not change the measured ranges much


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    export = commands.add_parser(
        "export",
        help="export a model to another format, and verify it",
        description="Export a model, load it in its runtime and compare its "
        "predictions with Keras. An export that differs is not written.",
    )
    export.add_argument(
        "--model",
        required=True,
        help="a run directory, a .keras file, or tnt_small or tnt_base with ImageNet "
        "weights",
    )
    export.add_argument(
        "--format",
        choices=("savedmodel", "onnx", "litert", "openvino"),
        default="savedmodel",
        help="savedmodel by default; the others need the extra 'export'",
    )
    export.add_argument(
        "--precision",
        choices=("auto", *sorted(set().union(*PRECISIONS.values()))),
        default="float32",
        help="float32 by default; auto is bfloat16 in a savedmodel or for openvino, if "
        "this machine's CPU has it in hardware",
    )
    export.add_argument(
        "--out",
        required=True,
        help="the file (onnx, litert) or directory (openvino, savedmodel)",
    )
    export.add_argument(
        "--labels",
        type=Path,
        help="a text file with a class name on each line; the model's names by default",
    )
    export.add_argument(
        "--version",
        type=int,
        help="version of a savedmodel; the next free one by default",
    )
    export.add_argument(
        "--calibration",
        metavar="IMAGES",
        help="for int8 of openvino: a directory or glob of training images, or a data "
        f"set; up to {CALIBRATION_IMAGES} images are used",
    )
    export.add_argument(
        "--image-size",
        type=image_size,
        metavar="SIZE",
        help="of the images, a side such as 224 or a height and a width such as "
        "192,256: for a model on images of any size, and for one given by name",
    )
    export.add_argument(
        "--for-cpus",
        action="store_true",
        help="write a savedmodel that is faster on CPUs and slow on GPUs",
    )
    export.add_argument(
        "--overwrite", action="store_true", help="replace an existing export"
    )
    export.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    task = run_task(options.model)
    if task in DENSE:
        print(_export_dense(options, task))
        return
    classifier = load_classifier(options.model, options.image_size)
    if not isinstance(classifier.model, keras.Model):
        raise ValueError(
            f"{options.model!r} is already an export. Expected its Keras model: a run "
            "directory or a .keras file."
        )
    labels = classifier.class_names
    if options.labels:
        labels = _read_labels(options.labels)
    exported = export_model(
        classifier.model,
        options.out,
        options.format,
        options.precision,
        labels,
        classifier.crop_fraction,
        _calibration(options.calibration, classifier),
        options.version,
        options.overwrite,
        for_cpus=options.for_cpus,
    )
    print(
        f"{exported.path}: {_size(exported.path) / 1e6:.1f} MB, probabilities equal to "
        f"Keras's within {exported.difference:.1g}."
    )


def _export_dense(options, task):
    """Write a SavedModel of a segmenter or detector, and return its path."""
    if (options.format, options.precision) != ("savedmodel", "float32"):
        raise ValueError(
            f"A model for {task} is exported as a savedmodel in float32 only, got "
            f"--format {options.format} --precision {options.precision}."
        )
    if options.for_cpus:
        raise ValueError(
            f"A model for {task} is exported for any device only. Leave out --for-cpus."
        )
    load, export = DENSE[task]
    model, names = load(options.model)
    if options.labels:
        names = _read_labels(options.labels)
    return export(model, options.out, names, options.version, options.overwrite)


def _read_labels(path):
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text in UTF-8: {error}. Save it in that encoding."
        ) from error


def _calibration(source, classifier):
    """Preprocessed images, evenly spaced among all of a source."""
    if source is None:
        return None
    if Path(source).exists() or glob.has_magic(source):
        paths = find_images([source])
        paths = paths[:: -(-len(paths) // CALIBRATION_IMAGES)]
        return tf.stack([prepare(classifier, load_image(p)) for p in paths]).numpy()
    _, height, width, channels = classifier.model.input_shape
    dataset = image_dataset(
        source,
        f"train[:{CALIBRATION_IMAGES}]",
        batch_size=CALIBRATION_IMAGES,
        image_size=(height, width),
        channels=channels,
        crop_fraction=classifier.crop_fraction,
    )
    images, _, weights = next(dataset.as_numpy_iterator())
    return images[weights > 0]


def _size(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
