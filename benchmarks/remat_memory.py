"""Measure memory and CPU time of a training step with and without remat=True.

    python benchmarks/remat_memory.py [--blocks 6] [--batch 32] [--steps 3]

Trains blocks of TNT-S's width at 224x224 on noise, each case in a separate process. The
operating system counts its peak resident memory and CPU time. The result is
benchmarks/results/remat_memory.json.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time

RESULTS = pathlib.Path(__file__).parent / "results" / "remat_memory.json"


def measure(blocks, batch, steps, remat):
    """Train in this process and return the measurements."""
    import keras
    import numpy as np
    import tensorflow as tf

    import keras_tnt

    keras.utils.set_random_seed(0)
    model = keras_tnt.TNTSmall(
        weights=None, depth=blocks, drop_path_rate=0.1, remat=remat
    )
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, 224, 224, 3), "uint8")
    labels = rng.integers(0, 1000, batch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    losses, seconds = [], []
    for _ in range(steps):
        start = time.process_time()
        losses.append(float(model.train_on_batch(images, labels)))
        seconds.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "remat": remat,
        "losses": losses,
        "cpu_seconds_of_steps": [round(value, 2) for value in seconds],
        "mib_before_training": round(before / 1024),
        "mib_peak": round(peak / 1024),
        "keras": keras.version(),
        "tensorflow": tf.__version__,
    }


def main():
    """Measure both cases in separate processes and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=3, help="the first one traces")
    parser.add_argument("--case", choices=["with", "without"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = (arguments.blocks, arguments.batch, arguments.steps)
    if arguments.case:
        print(json.dumps(measure(*size, remat=arguments.case == "with")))
        return
    cases = []
    for case in ("without", "with"):
        command = [sys.executable, __file__, "--case", case]
        for option, value in zip(("--blocks", "--batch", "--steps"), size, strict=True):
            command += [option, str(value)]
        process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        cases.append(json.loads(process.stdout.splitlines()[-1]))
        print(json.dumps(cases[-1]))
    record = {
        "model": f"{arguments.blocks} blocks of TNT-S at 224x224, float32",
        "batch": arguments.batch,
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "cases": cases,
        "peak_with_over_without": round(cases[1]["mib_peak"] / cases[0]["mib_peak"], 3),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"Peak with remat=True: {record['peak_with_over_without']:.0%} of without")


if __name__ == "__main__":
    main()
