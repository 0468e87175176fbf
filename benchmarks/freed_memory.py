"""What `keras_tnt.keep_freed_memory` saves on a CPU.

    python benchmarks/freed_memory.py [--pairs 7]

Each row runs in two processes, with and without the setting, which take turns. A ratio
is the median over the pairs; above 1, the setting is faster. Page faults are those of
one step. Writes results/freed_memory.json.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import keras
import numpy as np
import tensorflow as tf

import keras_tnt
from keras_tnt.cli.benchmark import describe_machine
from keras_tnt.training import AdamW
from keras_tnt.utils.files import atomic_write

RESULTS = Path(__file__).with_name("results") / "freed_memory.json"
# Name: batch size, steps in a turn.
ROWS = {
    "inference_1": (1, 12),
    "inference_16": (16, 2),
    "inference_64": (64, 1),
    "training_16": (16, 1),
}
SETTINGS = ("kept", "returned")


def make_step(name, batch):
    """Return a step of TNT-S."""
    model = keras_tnt.TNTSmall(weights=None)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (batch, *model.input_shape[1:])).astype("float32")
    if name.startswith("inference"):
        images = tf.constant(images)
        infer = tf.function(lambda x: model(x, training=False))
        return lambda: infer(images).numpy()
    model.compile(AdamW(1e-3), "sparse_categorical_crossentropy", jit_compile=False)
    labels = np.zeros(batch, "int64")
    return lambda: model.train_on_batch(images, labels)


def work(name, setting):
    """Time the number of steps in each line of the input."""
    if setting == "kept" and not keras_tnt.keep_freed_memory():
        raise SystemExit("The setting is not available here: see keep_freed_memory.")
    keras.utils.set_random_seed(0)
    step = make_step(name, ROWS[name][0])
    for _ in range(3):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        before = resource.getrusage(resource.RUSAGE_SELF)
        started = time.perf_counter()
        for _ in range(int(line)):
            step()
        seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_SELF)
        record = {
            "seconds": seconds / int(line),
            "page_faults": (after.ru_minflt - before.ru_minflt) // int(line),
            "peak_mib": after.ru_maxrss / 1024,
        }
        print(json.dumps(record), flush=True)


def start(name, setting):
    """Start a process of `work` and wait until it is ready."""
    command = [sys.executable, __file__, "--row", name, "--setting", setting]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    if process.stdout.readline() != "ready\n":
        raise RuntimeError(f"{' '.join(command)} failed with {process.wait()}.")
    return process


def measure(name, pairs):
    """Return medians of a row, and the ratios of its pairs."""
    processes = {setting: start(name, setting) for setting in SETTINGS}
    turns = {setting: [] for setting in SETTINGS}
    for _ in range(pairs):
        for setting, process in processes.items():
            print(ROWS[name][1], file=process.stdin, flush=True)
            turns[setting].append(json.loads(process.stdout.readline()))
    for process in processes.values():
        process.communicate()
    pairs = zip(*turns.values(), strict=True)
    ratios = [returned["seconds"] / kept["seconds"] for kept, returned in pairs]
    row = {"ratio": statistics.median(ratios), "ratios": ratios}
    for setting, records in turns.items():
        row[setting] = {
            key: statistics.median(record[key] for record in records)
            for key in records[0]
        }
    return row


def main():
    """Measure all rows and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--setting", choices=SETTINGS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.setting:
        work(options.row, options.setting)
        return
    record = {"machine": describe_machine(), "pairs": options.pairs, "rows": {}}
    for name in ROWS:
        record["rows"][name] = row = measure(name, options.pairs)
        with atomic_write(RESULTS) as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        print(f"{name}: {row['ratio']:.2f}", flush=True)


if __name__ == "__main__":
    main()
