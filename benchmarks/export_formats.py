"""Measure accuracy, size and speed of every export format in every precision.

    python benchmarks/export_formats.py demo        # trains the demo's model first
    python benchmarks/export_formats.py demo --run runs/demo
    python benchmarks/export_formats.py tnt_small   # size and speed only

Writes every single time to benchmarks/results/export_formats_MODEL.json, and a table to
export_formats_MODEL.md. Export and Keras model are timed in turns, so that other load
affects both; the relative time is the median over the turns. Needs the extras demo and
export.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import keras_tnt
from keras_tnt.cli.demo import run_demo
from keras_tnt.data import fashion_mnist_mini
from keras_tnt.export import export_model
from keras_tnt.export.exporter import PRECISIONS
from keras_tnt.inference.classifier import load_classifier
from keras_tnt.training import fashion_mnist_demo
from keras_tnt.training.run_directory import RunDirectory

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("keras", "tensorflow", "onnxruntime", "ai-edge-litert", "openvino", "nncf")
# Batch size: number of turns.
TURNS = {"demo": {1: 100, 32: 60}, "tnt_small": {1: 20, 8: 8}}


def main():
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", choices=TURNS)
    parser.add_argument("--run", type=Path, help="a run of keras-tnt demo")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        if options.model == "demo":
            if options.run is None:
                options.run = Path(directory) / "run"
                run_demo(RunDirectory.create(options.run), fashion_mnist_demo())
            model = load_classifier(str(options.run)).model
            test, labels = read("test")
            calibration, _ = read("train[:300]")
        else:
            keras.utils.set_random_seed(0)
            model = keras_tnt.TNTSmall(weights=None)
            rng = np.random.default_rng(0)
            test, labels = rng.uniform(0, 255, (8, 224, 224, 3)).astype("float32"), None
            calibration = test
        rows = [
            measure(
                model, file_format, precision, test, labels, calibration,
                TURNS[options.model], Path(directory) / f"{file_format}-{precision}",
            )
            for file_format, precisions in PRECISIONS.items()
            for precision in precisions
        ]  # fmt: skip
    record = {
        "model": options.model,
        "keras_accuracy": accuracy(predict_all(keras_function(model), test), labels),
        "machine": {
            "cpu": cpu(),
            "cores": os.cpu_count(),
            # If this is far above the number of cores, the times are not reliable.
            "load": os.getloadavg()[0],
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    name = f"export_formats_{options.model}"
    (RESULTS / f"{name}.json").write_text(
        json.dumps(record, indent=1) + "\n", encoding="utf-8"
    )
    (RESULTS / f"{name}.md").write_text(table(record), encoding="utf-8")
    print(table(record))


def measure(
    model, file_format, precision, test, labels, calibration, turns, path
):  # one row of the table
    """Export a model, run the export on the test set, and time it."""
    start = time.perf_counter()
    if precision != "int8":
        calibration = None
    exported = export_model(
        model, path, file_format, precision, crop_fraction=1.0, calibration=calibration
    )
    seconds = time.perf_counter() - start
    live = keras_function(model)
    predict = load_classifier(str(exported.path)).model.predict_on_batch
    probabilities = predict_all(predict, test)
    expected = predict_all(live, test)
    difference = np.abs(probabilities - expected).max()
    row = {
        "format": file_format,
        "precision": precision,
        "bytes": sum(f.stat().st_size for f in files(exported.path)),
        "export_seconds": seconds,
        "accuracy": accuracy(probabilities, labels),
        "largest_difference": float(difference),
        "same_class": accuracy(probabilities, expected.argmax(axis=1)),
        "milliseconds": {
            batch: dict(zip(("keras", "export"), times, strict=True))
            for batch, count in turns.items()
            for times in [in_turns(live, predict, test[:batch], count)]
        },
    }
    print({k: v for k, v in row.items() if k != "milliseconds"}, flush=True)
    return row


def read(split):
    """Read images and labels of the bundled data set."""
    images, labels = zip(*fashion_mnist_mini(split).as_numpy_iterator(), strict=True)
    return np.stack(images).astype("float32"), np.array(labels)


def keras_function(model):
    """Return the Keras model as one compiled function."""
    function = tf.function(lambda images: model(images, training=False))
    return lambda images: function(images).numpy()


def predict_all(predict, images, batch=250):
    """Run a model on many images in batches."""
    starts = range(0, len(images), batch)
    return np.concatenate([predict(images[start : start + batch]) for start in starts])


def accuracy(probabilities, labels):
    """Return the accuracy; None without labels."""
    if labels is None:
        return None
    return float((probabilities.argmax(axis=1) == labels).mean())


def in_turns(first, second, images, turns):
    """Time two functions in turns, in milliseconds, after two warm-up rounds."""
    times = ([], [])
    for turn in range(turns + 2):
        for function, found in zip((first, second), times, strict=True):
            start = time.perf_counter()
            function(images)
            if turn > 1:
                found.append(round(1e3 * (time.perf_counter() - start), 3))
    return times


def files(path):
    """List the files of an export."""
    found = path.rglob("*") if path.is_dir() else [path]
    return [file for file in found if file.is_file()]


def cpu():
    """Return the name of the processor and its low-precision instructions."""
    output = subprocess.run(["lscpu"], capture_output=True, text=True).stdout
    name = output.partition("Model name:")[2].splitlines()[0].strip()
    flags = {"avx512_vnni", "avx512_bf16", "amx_int8"} & set(output.split())
    return f"{name} ({', '.join(sorted(flags))})"


def table(record):
    """Return the results as a Markdown table."""
    batches = list(record["rows"][0]["milliseconds"])
    head = ["format", "precision", "MB", "accuracy", "same class as Keras"]
    head += ["largest difference"]
    head += [f"ms, batch {batch} (to Keras)" for batch in batches]
    lines = [head, ["---"] * len(head)]
    for row in record["rows"]:
        share = row["accuracy"]
        cells = [
            row["format"],
            row["precision"],
            f"{row['bytes'] / 1e6:.2f}",
            "-" if share is None else f"{share:.2%}",
            f"{row['same_class']:.2%}",
            f"{row['largest_difference']:.1g}",
        ]
        for batch in batches:
            times = row["milliseconds"][batch]
            pairs = zip(times["export"], times["keras"], strict=True)
            ratio = statistics.median(export / live for export, live in pairs)
            cells.append(f"{statistics.median(times['export']):.1f} ({ratio:.2f})")
        lines.append(cells)
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    share = record["keras_accuracy"]
    accuracy_line = "" if share is None else f"Keras, float32: {share:.2%}.\n\n"
    machine = ", ".join(f"{key} {value}" for key, value in record["machine"].items())
    return f"{accuracy_line}{text}\n\nMeasured on: {machine}.\n"


if __name__ == "__main__":
    main()
