"""What `keras_tnt.keep_freed_memory` saves on a CPU.

    python benchmarks/freed_memory.py [--pairs 7]

TNT-S runs in two processes, with and without the setting, which take turns. A ratio is
the median over the pairs; above 1, the setting is faster. Page faults are those of one
call, in the last turn. Writes results/freed_memory.json.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from vs_timm import PACKAGES, Worker, host, take_turns

import keras_tnt
from keras_tnt.utils.files import write_json

RESULTS = Path(__file__).with_name("results") / "freed_memory.json"
# Kind of keras_worker.py, batch size.
ROWS = {
    "inference_1": ("savedmodel-float32", 1),
    "inference_16": ("savedmodel-float32", 16),
    "inference_64": ("savedmodel-float32", 64),
    "training_16": ("train", 16),
}
# The worker keeps freed memory, unless its environment has settings of its own.
SETTINGS = {"kept": {}, "returned": {"GLIBC_TUNABLES": ""}}


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
            print(f"{name}: {row['ratio']:.2f}", flush=True)


def measure(kind, batch, weights, pairs):
    """Time a row with and without the setting, in turns."""
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
    turns = zip(seconds["kept"], seconds["returned"], strict=True)
    return {
        "ratio": statistics.median(returned / kept for kept, returned in turns),
        "seconds": seconds,
        "calls": calls,
        **{
            fact: {worker.name: worker.facts[fact] for worker in workers}
            for fact in ("page_faults", "peak_mib")
        },
    }


if __name__ == "__main__":
    main()
