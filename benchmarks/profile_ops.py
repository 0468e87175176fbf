"""Profile TNT-S by kind of operation and by part of the model.

    python benchmarks/profile_ops.py inference [--batch 16] [--precision bfloat16]
    python benchmarks/profile_ops.py training

Sums the times of the operations in TensorFlow's profiler on the CPU. Operations run in
parallel, so the sum may exceed the wall-clock time. Prints the tables and writes
benchmarks/results/profile_KIND.json, or profile_KIND_bfloat16.json.
"""

import argparse
import collections
import json
import os
import platform
import re
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As keras_tnt does if it is imported before TensorFlow.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

import keras_tnt
from keras_tnt.training import AdamW

RESULTS = Path(__file__).parent / "results"
# Part: pattern of its operations' names. The first match counts.
PARTS = {
    "optimizer": r"adam",
    "norms": r"norm(_\d+)?/",
    "stem": r"(pixel|patch)_embedding",
    "inner attention": r"inner(_\d+)?/attention",
    "inner feed-forward": r"inner(_\d+)?/feed_forward",
    "pixel projection": r"/fold",
    "outer attention": r"attention",
    "outer feed-forward": r"feed_forward",
}
STEPS = 3


def main():
    """Profile, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=("inference", "training"))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32"
    )
    options = parser.parse_args()
    policy = "mixed_bfloat16" if options.precision == "bfloat16" else "float32"
    make = {"inference": inference, "training": training}[options.kind]
    run = make(options.batch, policy)
    seconds, events = profile(run)
    record = {
        "kind": options.kind,
        "precision": options.precision,
        "batch": options.batch,
        "step_ms": 1e3 * seconds,
        "operations_ms": sums(events, lambda name, kind: kind),
        "parts_ms": sums(events, part),
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("keras", "tensorflow")},
    }
    suffix = "_bfloat16" if options.precision == "bfloat16" else ""
    path = RESULTS / f"profile_{options.kind}{suffix}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"A step takes {record['step_ms']:.0f} ms.")
    for title in ("parts_ms", "operations_ms"):
        total = sum(record[title].values())
        print()
        for name, spent in list(record[title].items())[:16]:
            print(f"{name:32s} {spent:8.1f} ms {spent / total:5.0%}")


def inference(batch, policy):
    """Return a forward pass with a dynamic batch size, as in an export."""
    model = keras_tnt.TNTSmall(weights=None, dtype=policy)
    images = tf.random.uniform((batch, 224, 224, 3), maxval=255)
    spec = tf.TensorSpec((None, 224, 224, 3))
    function = tf.function(lambda x: model(x, training=False), [spec], autograph=False)
    return lambda: function(images).numpy()


def training(batch, policy):
    """Return a training step as in `model.fit`."""
    model = keras_tnt.TNTSmall(weights=None, drop_path_rate=0.1, dtype=policy)
    model.compile(AdamW(1e-3), keras.losses.SparseCategoricalCrossentropy())
    images = np.random.default_rng(0).uniform(0, 255, (batch, 224, 224, 3))
    labels = np.zeros(batch, "int64")
    return lambda: model.train_on_batch(images, labels)


def profile(run):
    """Return seconds per step, and (name, kind, milliseconds) of each event."""
    run()
    run()
    with tempfile.TemporaryDirectory() as directory:
        with tf.profiler.experimental.Profile(directory):
            started = time.perf_counter()
            for _ in range(STEPS):
                run()
            seconds = (time.perf_counter() - started) / STEPS
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(directory).rglob("*.xplane.pb")).read_bytes())
    events = []
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                # Events of operations are named NAME:KIND.
                full = plane.event_metadata[event.metadata_id].name
                name, _, kind = full.rpartition(":")
                if re.fullmatch(r"[\w./-]+", name) and re.fullmatch(r"\w+", kind):
                    events.append((name, kind, event.duration_ps / 1e9 / STEPS))
    return seconds, events


def sums(events, key):
    """Return milliseconds by key, largest first."""
    totals = collections.Counter()
    for name, kind, spent in events:
        totals[key(name, kind)] += spent
    return dict(totals.most_common())


def part(name, kind):
    """Return the part of the model that an operation belongs to."""
    found = (known for known, sign in PARTS.items() if re.search(sign, name.lower()))
    return next(found, "other")


if __name__ == "__main__":
    main()
