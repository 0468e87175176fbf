"""`keras-tnt benchmark`: speed and memory of a model on this machine."""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_tnt import models
from keras_tnt.compat.keras_training import build_optimizer
from keras_tnt.inference import load_classifier
from keras_tnt.training import AdamW
from keras_tnt.utils.files import create_or_next_directory, write_json
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike
from keras_tnt.visualization.figure import (
    new_figure,
    require_matplotlib,
    save_figure,
)

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

SECONDS = 0.5  # of one measurement, at least


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "benchmark", help="measure speed and memory of a model on this machine"
    )
    parser.add_argument(
        "--model",
        default="TNTSmall",
        help="name of a model, such as TNTBase, for random weights, a run directory "
        "or a .keras file; TNTSmall by default",
    )
    parser.add_argument(
        "--batch-sizes", nargs="+", type=int, default=[1, 8, 16, 32], metavar="N"
    )
    parser.add_argument("--image-size", type=int, help="of a model given by name")
    parser.add_argument(
        "--precision",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        default="float32",
        help="of a model given by name; float32 by default",
    )
    parser.add_argument(
        "--no-training", action="store_true", help="measure inference only"
    )
    parser.add_argument(
        "--remat",
        action="store_true",
        help="train a model given by name with rematerialization",
    )
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument(
        "--out", help="a new directory; by default benchmark, benchmark-2, …"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    require_matplotlib()
    model = _model(options)
    measurements = []
    for measured in benchmark(
        model, options.batch_sizes, not options.no_training, options.repetitions
    ):
        measurements.append(measured)
        if not options.json:
            print(
                f"{measured.kind}, batch {measured.batch_size}: "
                f"{measured.images_per_second:.1f} images/s, first call "
                f"{measured.first_call:.1f} s, peak {measured.peak_mib:.0f} MiB",
                flush=True,
            )
    record = {
        "model": model.name,
        "image_size": model.input_shape[1:3],
        "precision": model.dtype_policy.name,
        "machine": describe_machine(),
        "measurements": [measured._asdict() for measured in measurements],
    }
    directory = create_or_next_directory(options.out, "benchmark")
    write_json(record, directory / "benchmark.json")
    plot_speed(measurements, directory / "benchmark.png")
    if options.json:
        print(json.dumps(record))
    else:
        print(f"{directory} has the measurements and a plot.")


def _model(options):
    """The model to measure."""
    if options.model in models.__all__:
        size = options.image_size
        if size is not None and size < 1:
            raise ValueError(f"--image-size must be at least 1, got {size}.")
        return getattr(models, options.model)(
            weights=None,
            input_shape=(size, size, 3) if size else None,
            remat=options.remat,
            dtype=options.precision,
        )
    if options.image_size or options.remat or options.precision != "float32":
        raise ValueError(
            "--image-size, --precision and --remat go with a model's name, one of "
            f"{', '.join(models.__all__)}; {options.model!r} has its own."
        )
    model = load_classifier(options.model).model
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"{options.model!r} is an export. Expected the name of a model, a run "
            "directory or a .keras file."
        )
    return model


class Measurement(NamedTuple):
    """The speed of a batch size.

    Attributes:
        kind: ``"inference"`` or ``"training"``.
        batch_size: images in a batch.
        first_call: seconds of the first call, with tracing and compilation.
        seconds: seconds of a batch, for each repetition.
        images_per_second: images per second, from the median.
        peak_mib: peak memory so far in MiB, of the first GPU or of the process; it
            never falls from one measurement to the next.
    """

    kind: str
    batch_size: int
    first_call: float
    seconds: list
    images_per_second: float
    peak_mib: float


def benchmark(
    model: keras.Model,
    batch_sizes: Sequence[int] = (1, 8, 16, 32),
    training: bool = True,
    repetitions: int = 7,
) -> Iterator[Measurement]:
    """Measure inference and training steps of a classifier.

    Inference is `model.predict_on_batch`; a training step is `model.train_on_batch`
    with `keras_tnt.training.AdamW`, as in `model.fit`, without reading data. Training
    changes the weights and compiles the model again.

    Args:
        model: a `keras.Model` from images to classes, of static image size.
        batch_sizes: images in a batch.
        training: whether to measure training steps too.
        repetitions: number of measurements, of half a second or one call each.

    Yields:
        A `Measurement` for each; training comes last, because it needs most memory.

    Raises:
        ValueError: if a number is below 1, or the image size is not fixed.
    """
    numbers = [*batch_sizes, repetitions]
    if not batch_sizes or min(numbers) < 1:
        raise ValueError(
            "Batch sizes and repetitions must be at least 1, got batch_sizes="
            f"{list(batch_sizes)} and repetitions={repetitions}."
        )
    if None in model.input_shape[1:]:
        raise ValueError(
            f"Expected a model of fixed image size, got input {model.input_shape}."
        )
    yield from _measure_all("inference", model, batch_sizes, repetitions)
    if training:
        model.compile(AdamW(1e-5), "sparse_categorical_crossentropy")
        build_optimizer(model)
        yield from _measure_all("training", model, batch_sizes, repetitions)


def describe_machine() -> dict[str, Any]:
    """Return devices, cores, versions and load of this machine.

    Returns:
        A dict of JSON types.
    """
    devices = tf.config.get_visible_devices()
    details = [tf.config.experimental.get_device_details(d) for d in devices]
    return {
        "devices": [
            known.get("device_name", device.device_type)
            for device, known in zip(devices, details, strict=True)
        ],
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }


def plot_speed(measurements: Sequence[Measurement], path: PathLike) -> None:
    """Plot images per second against the batch size.

    Args:
        measurements: a list of `Measurement`.
        path: the PNG file to write.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    figure, axes = new_figure(1, 1, (5, 3.5))
    axis = axes[0][0]
    for kind in dict.fromkeys(measured.kind for measured in measurements):
        found = [measured for measured in measurements if measured.kind == kind]
        sizes = [measured.batch_size for measured in found]
        axis.plot(sizes, [m.images_per_second for m in found], ".-", label=kind)
    axis.set(xlabel="batch size", ylabel="images/s", xscale="log")
    axis.set_xticks(sizes, sizes)
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend()
    save_figure(figure, path)


def _measure_all(kind, model, batch_sizes, repetitions):
    rng = np.random.default_rng(0)
    step = {"inference": model.predict_on_batch, "training": model.train_on_batch}[kind]
    for batch_size in batch_sizes:
        images = rng.uniform(0, 255, (batch_size, *model.input_shape[1:]))
        batch = [images.astype("float32")]
        if kind == "training":
            batch.append(rng.integers(model.output_shape[-1], size=batch_size))
        yield _measure(kind, batch_size, repetitions, functools.partial(step, *batch))


def _measure(kind, batch_size, repetitions, run):
    started = time.perf_counter()
    run()
    first_call = time.perf_counter() - started
    calls = max(1, round(SECONDS / _seconds(run, 1)))
    seconds = [_seconds(run, calls) for _ in range(repetitions)]
    speed = batch_size / statistics.median(seconds)
    return Measurement(kind, batch_size, first_call, seconds, speed, _peak_mib())


def _seconds(run, calls):
    """Seconds of a call, the mean of some."""
    started = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - started) / calls


def _peak_mib():
    if tf.config.get_visible_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    if resource is None:  # Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
