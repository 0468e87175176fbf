"""Speed and memory of a model on this machine, whatever its devices."""

import functools
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_tnt.compat.keras_training import build_optimizer
from keras_tnt.training.optimizer import AdamW
from keras_tnt.utils.typing import PathLike
from keras_tnt.visualization.figure import new_figure, save_figure

SECONDS = 0.5  # of one measurement, at least


class Measurement(NamedTuple):
    """The speed of a batch size.

    Attributes:
        kind: ``"inference"`` or ``"training"``.
        batch_size: images in a batch.
        first_call: seconds of the first call, with tracing and compilation.
        seconds: seconds of a batch, one figure a repetition.
        images_per_second: images a second, by the median.
        peak_mib: largest memory so far: of the first GPU if there is one, else of the
            process; it never falls from one measurement to the next.
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
    """Measures inference and training steps of a classifier.

    Inference is `model.predict_on_batch`; a training step is `model.train_on_batch`
    with `keras_tnt.training.AdamW`, as `model.fit` takes it, without reading data.
    Training changes the weights and how the model is compiled.

    Args:
        model: a `keras.Model` from images to classes, of static image size.
        batch_sizes: images in a batch.
        training: whether to measure training steps too.
        repetitions: measurements of each; each takes half a second or one call.

    Yields:
        A `Measurement` each; training comes last, for it needs the most memory.

    Raises:
        ValueError: for a number below 1, or a model without a fixed image size.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.cli.benchmark_run import benchmark
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(32, 32, 3))
        >>> [(m.kind, m.batch_size) for m in benchmark(model, [2], repetitions=1)]
        [('inference', 2), ('training', 2)]
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
    """What the figures are of: devices, cores, versions, load.

    Returns:
        A dict that JSON can hold.

    Example:
        >>> from keras_tnt.cli.benchmark_run import describe_machine
        >>> describe_machine()["cores"] > 0
        True
    """
    devices = tf.config.list_physical_devices()
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
    """Draws images a second against the batch size.

    Args:
        measurements: a list of `Measurement`.
        path: the PNG file to write.

    Raises:
        ImportError: if matplotlib is not installed.

    Example:
        >>> from keras_tnt.cli.benchmark_run import Measurement, plot_speed
        >>> plot_speed([Measurement("inference", 1, 2.0, [0.1], 10.0, 900)], "s.png")
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
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
