"""What the settings of keras_tnt for CPUs give: freed memory is kept, and oneDNN.

    python benchmarks/cpu_settings.py [--pairs 7]

TNT-S runs in three processes, with both settings and without one of them, which take
turns. A ratio is the median over the turns; above 1, the setting is faster. Page faults
are those of one call, in the last turn. Writes results/cpu_settings.json.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from vs_timm import PACKAGES, Worker, host, take_turns

import keras_tnt
from keras_tnt.utils.files import write_json

RESULTS = Path(__file__).with_name("results") / "cpu_settings.json"
# Kind of keras_worker.py, batch size.
ROWS = {
    "inference_1": ("savedmodel-float32", 1),
    "inference_16": ("savedmodel-float32", 16),
    "inference_64": ("savedmodel-float32", 64),
    "training_16": ("train", 16),
}
# The environments of the workers. keras_tnt does not change what the user has set.
BOTH = "both"
SETTINGS = {
    BOTH: {},
    "memory returned": {"GLIBC_TUNABLES": ""},
    "without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}


def main():
    """Measure all rows and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    record = {"machine": host(PACKAGES), "rows": {}}
    with tempfile.TemporaryDirectory() as directory:
        weights = Path(directory, "tnt_s.safetensors")
        keras_tnt.save_upstream_weights(keras_tnt.TNTSmall(weights=None), weights)
        for name, (kind, batch) in ROWS.items():
            row = measure(kind, batch, weights, options.pairs)
            record["rows"][name] = row
            write_json(record, RESULTS)
            ratios = {
                setting: f"{ratio:.2f}" for setting, ratio in row["ratio"].items()
            }
            print(f"{name}: {ratios}", flush=True)


def measure(kind, batch, weights, pairs):
    """Time a row with both settings and without one of them, in turns."""
    workers = []
    try:
        for setting, environment in SETTINGS.items():
            arguments = (kind, batch, weights, 224)
            workers.append(Worker(sys.executable, "keras", *arguments, **environment))
            workers[-1].name = setting
        seconds, calls = take_turns(workers, pairs)
    finally:
        for worker in workers:
            worker.end()
    ratios = {
        setting: statistics.median(
            other / both for other, both in zip(times, seconds[BOTH], strict=True)
        )
        for setting, times in seconds.items()
    }
    return {
        "ratio": ratios,
        "seconds": seconds,
        "calls": calls,
        **{
            fact: {worker.name: worker.facts[fact] for worker in workers}
            for fact in ("page_faults", "peak_mib")
        },
    }


if __name__ == "__main__":
    main()
