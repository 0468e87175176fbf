"""Measure a training step on one device, two logical devices and two processes.

    python benchmarks/distribution.py [--rounds 3] [--steps 60] [--batch 64]

Trains the demo's TNT with `model.fit` on the same global batch on the CPU. All cases
share the same cores, so the time above one device is the overhead of distribution. Each
case of each round runs in its own process or two. The cases take turns, so that other
load affects all of them. The result is benchmarks/results/distribution.json.
"""

import argparse
import json
import os
import pathlib
import platform
import socket
import statistics
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from keras_tnt import distribute
from keras_tnt.training import fashion_mnist_demo
from keras_tnt.training.builders import build_model, compile_model

RESULTS = pathlib.Path(__file__).parent / "results" / "distribution.json"
# Case: strategy and number of processes.
CASES = {
    "one_device": ("one_device", 1),
    "two_devices": ("mirrored", 1),
    "two_processes": ("multi_worker", 2),
}
WARM_UP = 10


class Clock(keras.callbacks.Callback):
    """Record time and loss after each step."""

    def on_train_begin(self, logs=None):
        self.times, self.losses, self.sent = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))
        self.times.append(time.perf_counter())
        self.sent.append(loopback_bytes())


def loopback_bytes():
    """Return the bytes that processes of this machine have sent each other."""
    lines = pathlib.Path("/proc/net/dev").read_text(encoding="utf-8").splitlines()
    (loopback,) = (line for line in lines if line.strip().startswith("lo:"))
    return int(loopback.partition(":")[2].split()[8])


def measure(case, steps, batch):
    """Train in this process and return the measurements."""
    if case == "two_devices":
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * 2,
        )
    strategy = distribute.create_strategy(CASES[case][0])
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = build_model(fashion_mnist_demo(), classes=10)
        compile_model(model, fashion_mnist_demo(), steps_per_epoch=steps)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, 28, 28, 1)).astype("float32")
    labels = np.eye(10, dtype="float32")[rng.integers(0, 10, batch)]

    def part(worker, workers, replicas):
        dataset = tf.data.Dataset.from_tensor_slices((images, labels))
        dataset = dataset.batch(batch // workers // replicas, drop_remainder=True)
        return dataset.skip(worker * replicas).take(replicas).cache()

    clock = Clock()
    parameters = model.count_params()
    model.fit(
        distribute.distribute_dataset(strategy, part),
        steps_per_epoch=WARM_UP + steps,
        callbacks=[clock],
        shuffle=False,
        verbose=0,
    )
    seconds = np.diff(clock.times)[WARM_UP - 1 :]
    return {
        "case": case,
        "replicas": strategy.num_replicas_in_sync,
        "median_ms": round(1000 * float(np.median(seconds)), 2),
        "last_loss": round(clock.losses[-1], 5),
        "parameters": parameters,
        "bytes_per_step": round(float(np.median(np.diff(clock.sent)[WARM_UP - 1 :]))),
    }


def run(case, options):
    """Measure a case in separate processes and return the chief's result."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(CASES[case][1])]
    addresses = [f"localhost:{free.getsockname()[1]}" for free in sockets]
    for free in sockets:
        free.close()
    command = [sys.executable, __file__, "--case", case]
    command += ["--steps", str(options.steps), "--batch", str(options.batch)]
    processes = []
    for index in range(len(addresses)):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        environ = os.environ | ({"TF_CONFIG": config} if len(addresses) > 1 else {})
        processes.append(
            subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
        )
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"{case} failed.")
    return json.loads(outputs[0].splitlines()[-1])


def main():
    """Measure all cases in turns and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60, help="steps after the warm-up")
    parser.add_argument("--batch", type=int, default=64, help="global batch size")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options.case, options.steps, options.batch)))
        return
    rounds = []
    for _ in range(options.rounds):
        rounds.append([run(case, options) for case in CASES])
        print(*rounds[-1], sep="\n", flush=True)
    ratios = {
        case: [
            round(results[place]["median_ms"] / results[0]["median_ms"], 3)
            for results in rounds
        ]
        for place, case in enumerate(CASES)
    }
    medians = {case: statistics.median(values) for case, values in ratios.items()}
    record = {
        "model": "fashion_mnist_demo, float32, AdamW, 28x28",
        "batch": options.batch,
        "steps": options.steps,
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "load_average_at_the_end": [round(value, 1) for value in os.getloadavg()],
        "keras": keras.version(),
        "tensorflow": tf.__version__,
        "rounds": rounds,
        "times_one_device": ratios,
        "median_times_one_device": medians,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for case, ratio in medians.items():
        print(f"{case}: {ratio:.2f} times a step on one device")


if __name__ == "__main__":
    main()
