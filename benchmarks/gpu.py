"""Measure TNTs of keras_tnt on a GPU, beside timm's on PyTorch.

    python benchmarks/gpu.py [--seconds 480] [--out benchmarks/results]

Takes whichever of JAX, PyTorch, TensorFlow and timm are installed. The rows are in the
order of their importance; the run stops when the time is over. The programs of a stage
are compiled in parallel processes, then timed one by one, in turns (A B C, A B C, ...),
with a bfloat16 product of two 8192x8192 matrices among them. Ratios are medians over
the turns.

Each record is written to gpu.jsonl as soon as it is known; gpu.json and the table
gpu.md follow after each row. A program that fails gives a record with the error.
`--toy` runs the same at toy sizes, on a CPU too.
"""

import argparse
import importlib.util
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.gpu_records import check_record, records, table
from benchmarks.gpu_report import Results, machine
from benchmarks.gpu_workers import Worker, WorkerError, prepare


class Row(NamedTuple):
    """What is measured.

    Attributes:
        mode: "check", "inference" or "training".
        precision: "bfloat16", "tf32" or "float32".
        batch: images.
        model: a name of `keras_tnt.models.tnt.VARIANTS`.
        remat: whether the backward pass recomputes the blocks.
    """

    mode: str
    precision: str = "bfloat16"
    batch: int = 2
    model: str = "tnt_small"
    remat: bool = False


# What is compiled at the same time, in order.
STAGES = (
    {
        "check": Row("check"),
        "inference_256": Row("inference", batch=256),
        "training_128": Row("training", batch=128),
    },
    {
        "inference_1": Row("inference", batch=1),
        "inference_64": Row("inference", batch=64),
        "tf32_256": Row("inference", "tf32", 256),
        "float32_256": Row("inference", "float32", 256),
    },
    {
        "base_inference_256": Row("inference", batch=256, model="tnt_base"),
        "base_training_64": Row("training", batch=64, model="tnt_base"),
    },
    {
        "tiny_inference_256": Row("inference", batch=256, model="tnt_tiny"),
        "tiny_training_128": Row("training", batch=128, model="tnt_tiny"),
    },
    {"remat_128": Row("training", batch=128, remat=True)},
)
NAMES = [name for stage in STAGES for name in stage]
# Subject: the module in workers/ that runs it, and what must be installed.
SUBJECTS = {
    "jax": ("jax", ["jax"]),
    "torch": ("torch", ["torch"]),
    "torch_compiled": ("torch", ["torch"]),
    "tensorflow": ("tensorflow", ["tensorflow"]),
    "timm": ("torch", ["torch", "timm"]),
    "timm_compiled": ("torch", ["torch", "timm"]),
}
COMPILE = 150  # seconds for the programs of a stage
RESERVE = 20  # seconds that remain for timing when compilation must end
TURN = 0.4  # seconds of calls in a turn


def main():
    """Measure the rows that the time allows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--out", type=Path, help="default: benchmarks/results")
    parser.add_argument("--rows", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--subjects", nargs="+", choices=SUBJECTS, default=installed())
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--toy", action="store_true", help="toy sizes, one turn")
    options = parser.parse_args()
    if options.toy and options.out is None:
        parser.error("--toy measures nothing of interest: say where with --out.")
    if not options.subjects:
        parser.error("None of JAX, PyTorch and TensorFlow is installed.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as caches:
        Run(options, caches).run()


def installed():
    """Return the subjects whose packages are installed."""
    return [
        subject
        for subject, (_, packages) in SUBJECTS.items()
        if all(map(importlib.util.find_spec, packages))
    ]


class Run:
    """A run of this benchmark.

    Args:
        options: the options of the command line.
        caches: an empty directory, so that every program is compiled anew.
    """

    def __init__(self, options, caches):
        self.options = options
        self.deadline = time.monotonic() + options.seconds - min(3, options.seconds)
        self.environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TORCHINDUCTOR_CACHE_DIR": f"{caches}/inductor",
            "TRITON_CACHE_DIR": f"{caches}/triton",
        }
        # This process computes nothing, and must leave the GPU alone.
        os.environ |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
        os.environ["KERAS_BACKEND"] = SUBJECTS[options.subjects[0]][0]
        self.workers = []
        self.product = None
        self.flops = 2 * (128 if options.toy else 8192) ** 3  # of the product
        self.multiply_adds = {}  # by model
        self.results = Results(
            options.out or ROOT / "benchmarks" / "results",
            "gpu_toy" if options.toy else "gpu",
            table,
            toy=options.toy,
            machine=machine(),
            compiled_at_once=options.jobs,
            flops="two for each multiply-add of products and convolutions, by "
            "keras_tnt.complexity; a training step has three times those of inference",
        )

    @property
    def left(self):
        """The seconds that are left."""
        return self.deadline - time.monotonic()

    def run(self):
        """Measure; stop all processes in any case."""
        missing = list(self.options.rows)
        try:
            self.start_product()
            for stage in STAGES:
                rows = {name: stage[name] for name in stage if name in missing}
                for name, found in self.prepare(rows).items():
                    self.measure(name, rows[name], found)
                    missing.remove(name)
                    self.results.write(missing=missing)
        finally:
            for worker in self.workers:
                worker.end()
            self.results.write(missing=missing)

    def start(self, subject, row):
        """Start a worker."""
        framework = SUBJECTS[subject][0]
        spec = {"subject": subject, "framework": framework, "toy": self.options.toy}
        spec |= row._asdict()
        if self.options.toy:
            spec["batch"] = min(row.batch, 4)
        environment = self.environment | {"KERAS_BACKEND": framework}
        self.workers.append(Worker(spec, environment))
        return self.workers[-1]

    def start_product(self):
        """Start the worker that measures the card's rate, and wait for it."""
        subjects = self.options.subjects
        subject = next((s for s in subjects if SUBJECTS[s][0] == "torch"), subjects[0])
        (self.product,) = prepare(
            [lambda: self.start(subject, Row("product"))], 1, self.deadline
        ) or [None]
        if self.product and not self.product.error:
            self.results.facts["device"] = self.product.facts["device"]

    def prepare(self, rows):
        """Compile the programs of a stage; return workers by row, if time remains."""
        wanted = [
            (name, subject)
            for name, row in rows.items()
            for subject in self.options.subjects
            if runs(subject, row)
        ]
        until = min(self.deadline - RESERVE, time.monotonic() + COMPILE)
        if self.options.toy:
            until = self.deadline
        makers = [
            lambda n=name, s=subject: self.start(s, rows[n]) for name, subject in wanted
        ]
        workers = prepare(makers, self.options.jobs, until)
        found = {}
        for (name, _), worker in zip(wanted, workers, strict=False):
            found.setdefault(name, []).append(worker)
        return found

    def measure(self, name, row, workers):
        """Time the workers of a row in turns, and store the records."""
        for worker in workers:
            if "multiply_adds" in worker.facts:
                self.multiply_adds[row.model] = worker.facts["multiply_adds"]
        if row.mode == "check":
            for worker in workers:
                self.results.add(check_record(name, worker))
                worker.end()
            return
        found = self.timed(name, row, workers)
        # Beside the others there may be too little memory.
        for worker in workers:
            if is_out_of_memory(worker.error) and self.left > RESERVE:
                maker = [lambda w=worker: self.start(w.spec["subject"], row)]
                for alone in prepare(maker, 1, self.deadline):
                    (record,) = self.timed(name, row, [alone])
                    found[workers.index(worker)] = record | {"alone": True}
        for record in found:
            self.results.add(record)

    def timed(self, name, row, workers):
        """Time workers, end them and return their records."""
        times = self.turns(workers)
        for worker in workers:
            worker.end()
        rates = [
            seconds and self.flops / seconds for seconds in times[id(self.product)]
        ]
        flops = 2 * self.multiply_adds.get(row.model, 0)
        if row.mode == "training":
            flops *= 3
        return records(name, workers, times, rates, flops or None)

    def turns(self, workers):
        """Return the seconds of a call in each turn, by subject."""
        alive = [worker for worker in workers if not worker.error]
        if self.product and not self.product.error:
            alive.append(self.product)
        calls, times = {}, {id(worker): [] for worker in (*workers, self.product)}
        for _ in range(1 if self.options.toy else self.options.turns):
            for worker in alive:
                if worker.error or self.left <= 0:
                    times[id(worker)].append(None)
                    continue
                try:
                    if worker not in calls:
                        seconds = worker.time(1, self.left)
                        calls[worker] = max(1, round(TURN / seconds))
                    if self.options.toy:
                        calls[worker] = 1
                    times[id(worker)].append(worker.time(calls[worker], self.left))
                except WorkerError:
                    times[id(worker)].append(None)
        return times


def runs(subject, row):
    """Whether a subject has a program for a row."""
    # It compiles an exported forward pass, see workers/gpu_torch.py.
    return not (subject == "torch_compiled" and row.mode == "training")


def is_out_of_memory(error):
    """Whether an error says that memory was exhausted."""
    words = ("out of memory", "outofmemory", "resource_exhausted", "resourceexhausted")
    return error is not None and any(word in error.lower() for word in words)


if __name__ == "__main__":
    main()
