"""`keras-tnt export`."""

import argparse
import glob
from pathlib import Path

CALIBRATION_IMAGES = 300  # more do not change the measured ranges much


def add_command(commands: argparse._SubParsersAction) -> None:
    """Adds the command's arguments to the command line."""
    export = commands.add_parser(
        "export",
        help="write a model for other programs, and check what was written",
        description="Writes a model for another runtime, reloads it there and compares "
        "it with Keras. What predicts otherwise is not left behind.",
    )
    export.add_argument(
        "--model",
        required=True,
        help="the directory of a run, a .keras file, or tnt_small or tnt_base with "
        "ImageNet weights",
    )
    export.add_argument(
        "--format",
        choices=("savedmodel", "onnx", "litert", "openvino"),
        default="savedmodel",
        help="savedmodel is the default; the others take the extra 'export'",
    )
    export.add_argument(
        "--precision",
        choices=("float32", "float16", "int8"),
        default="float32",
        help="float32 is the default",
    )
    export.add_argument(
        "--out",
        required=True,
        type=Path,
        help="the file (onnx, litert) or directory (openvino, savedmodel; versions are "
        "directories in the latter's)",
    )
    export.add_argument(
        "--labels",
        type=Path,
        help="a text file with the name of a class a line; the model's by default",
    )
    export.add_argument(
        "--version", type=int, help="of a savedmodel; by default the next free one"
    )
    export.add_argument(
        "--calibration",
        metavar="IMAGES",
        help="for int8 a directory or glob of training images, or a data set as train "
        f"takes it; up to {CALIBRATION_IMAGES} are taken",
    )
    export.add_argument(
        "--overwrite", action="store_true", help="replace what is there"
    )
    export.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command."""
    import keras

    from keras_tnt.export import export_model
    from keras_tnt.inference.classifier import load_classifier

    classifier = load_classifier(options.model)
    if not isinstance(classifier.model, keras.Model):
        raise ValueError(
            f"{options.model!r} is an export already. Expected the Keras model that it "
            "was made from: the directory of a run or a .keras file."
        )
    labels = classifier.class_names
    if options.labels:
        labels = options.labels.read_text(encoding="utf-8").splitlines()
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
    )
    print(
        f"{exported.path}: {_size(exported.path) / 1e6:.1f} MB, probabilities as Keras "
        f"gives them within {exported.difference:.1g}."
    )


def _calibration(source, classifier):
    """Images as the classifier takes them, evenly from all that there are."""
    import tensorflow as tf

    from keras_tnt.data import image_dataset
    from keras_tnt.images import load_image
    from keras_tnt.inference.classifier import find_images, prepare

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
