"""Compare keras_tnt with timm: the same images and threads, for TNT-S the same weights.

    python benchmarks/vs_timm.py [--pairs 7] [--rows training_16 ...]

Each subject of a row runs in its own process. They take turns (A B C, A B C, ...), so
that other load affects all of them. A ratio is the median over the turns. The first
call installs PyTorch and timm into the environment .venv-timm; --timm-python selects
another.

Writes benchmarks/results/vs_timm.json row by row, and replaces repeated rows. The table
vs_timm.md and the plot are made from all rows. Needs the extra export.
"""

import argparse
import datetime
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from keras_tnt.utils.files import atomic_write
from keras_tnt.visualization.figure import new_figure, save_figure

HERE = Path(__file__).parent
ROOT = HERE.parent
WORKERS = HERE / "workers"
RESULTS = HERE / "results" / "vs_timm.json"
PHOTO = ROOT / "tests" / "assets" / "astronaut_landscape.png"
PEER = ("torch==2.14.1", "torchvision==0.29.1", "timm==1.0.31")
PACKAGES = ["keras", "tensorflow", "onnxruntime", "openvino", "ai-edge-litert"]
EXPORTS = [
    "savedmodel-float32",
    "savedmodel-float32-cpus",
    "onnx-float32",
    "openvino-float32",
    "litert-float32",
]
PRODUCT = "keras:product"
# Multiplications and additions of an image; keras_tnt computes the last block for the
# class token alone.
GFLOP = {"timm": 10.4, "keras": 9.85}
INT8 = ["onnx-int8", "openvino-int8", "litert-int8"]
BOTH = ["eager", "compiled"]
BFLOAT16 = ["predict", "predict_bfloat16"]
BFLOAT16 += [
    f"{name}-{precision}"
    for name in ("savedmodel", "openvino")
    for precision in ("float32", "bfloat16")
]
THEIR_BFLOAT16 = [
    f"{kind}{suffix}"
    for kind in ("autocast", "bfloat16")
    for suffix in ("", "_compiled")
]
# What workers say beside their times.
FACTS = (
    "peak_mib",
    "mib_after_import",
    "export_mib",
    "first_step",
    "multiply_adds",
)
PYRAMIDS = [
    f"pyramid_{name}{suffix}"
    for name in ("pcpvt", "svt")
    for suffix in ("", "_compiled")
]
MEMORY = ["train", "train_checkpointing"]


class Row(NamedTuple):
    """A comparison.

    Attributes:
        batch: batch size.
        theirs: subjects of timm.
        ours: subjects of keras_tnt.
        size: height and width of the images.
        cores: number of cores that each subject may use.
    """

    batch: int
    theirs: list
    ours: list
    size: int = 224
    cores: int = 2


ROWS = {
    "inference_16": Row(16, BOTH, ["predict", *EXPORTS]),
    "inference_1": Row(1, BOTH, ["predict", *EXPORTS]),
    "int8_16": Row(16, [*BOTH, "bfloat16"], INT8),
    "int8_1": Row(1, BOTH, INT8),
    "bfloat16_16": Row(16, THEIR_BFLOAT16, BFLOAT16),
    "bfloat16_1": Row(1, THEIR_BFLOAT16, BFLOAT16),
    "pyramid_16": Row(
        16,
        PYRAMIDS,
        ["pyramid_predict", "pyramid-savedmodel-float32"],
        size=256,
    ),
    "jpeg_1": Row(
        1, ["jpeg", "jpeg_compiled"], ["jpeg", "jpeg-float32-cpus", "jpeg-bfloat16"]
    ),
    "training_bfloat16_16": Row(16, ["train_autocast"], ["train", "train_bfloat16"]),
    "training_16": Row(16, ["train"], ["train"]),
    "training_compiled_16": Row(16, ["train", "train_compiled"], ["train"]),
    "fewer_inner_blocks_16": Row(16, [], ["predict", "predict_s1"]),
    "plain_transformer_16": Row(16, [], ["predict", "predict_vit"]),
    "memory_1": Row(1, BOTH, ["predict", *EXPORTS]),
    "memory_16": Row(16, BOTH, ["predict", *EXPORTS]),
    "memory_32": Row(32, MEMORY, ["train", "train_remat"]),
    "batch_4": Row(4, BOTH, EXPORTS[:2]),
    "batch_32": Row(32, BOTH, EXPORTS[:2]),
    "size_384_4": Row(4, BOTH, EXPORTS[:2], size=384),
    "size_512_4": Row(4, BOTH, EXPORTS[:2], size=512),
    "one_core_16": Row(16, BOTH, EXPORTS[:2], cores=1),
}
BATCHES = ["inference_1", "batch_4", "inference_16", "batch_32"]
SIZES = ["batch_4", "size_384_4", "size_512_4"]
CORES = ["one_core_16", "inference_16"]


class Worker:
    """A process that times one subject on request."""

    def __init__(self, python, script, kind, *arguments, cores=2, **environment):
        self.name = f"{script}:{kind}"
        script = WORKERS / f"{script}_worker.py"
        command = [python, script, kind, *map(str, arguments)]
        allowed = sorted(os.sched_getaffinity(0))[:cores]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(cores)}
            | environment,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        )
        self.facts = {}
        while not self.facts.get("ready"):
            self.facts |= self._answer()

    def time(self, calls):
        """Return the seconds per batch, averaged over some calls."""
        print(calls, file=self.process.stdin, flush=True)
        answer = self._answer()
        self.facts |= {fact: answer[fact] for fact in ("peak_mib", "page_faults")}
        return answer["seconds"]

    def calls_in(self, seconds):
        """Return the number of calls in this time; at least one."""
        started = time.perf_counter()
        self.time(1)
        return max(1, round(seconds / (time.perf_counter() - started)))

    def end(self):
        """Stop the process."""
        self.process.kill()
        self.process.wait()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} stopped. Run it manually to see why.")
        return json.loads(line)


def main():
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--timm-python", type=Path)
    options = parser.parse_args()
    peer = options.timm_python or install()
    with tempfile.TemporaryDirectory() as directory:
        weights = f"{directory}/tnt_s.safetensors"
        save = [peer, WORKERS / "timm_worker.py", "save", "1", weights, "224"]
        subprocess.run(save, check=True)
        photo = Image.open(PHOTO).convert("RGB")
        photo.save(f"{directory}/photo.jpg", quality=90)
        for row in options.rows:
            record = measure(row, options.pairs, peer, weights)
            write(row, record | {"machine": machine(peer)})


def install(name=".venv-timm", packages=PEER):
    """Create an environment, by default that of the peer, and return its Python."""
    directory = ROOT / name
    python = directory / "bin" / "python"
    if not (directory / "complete").exists():
        venv.create(directory, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        (directory / "complete").touch()
    return python


def measure(row, pairs, peer, weights):
    """Time the subjects of a row in turns."""
    row = ROWS[row]
    arguments = (row.batch, weights, row.size)
    workers = []
    try:
        for kind in row.theirs:
            workers.append(Worker(peer, "timm", kind, *arguments, cores=row.cores))
        for kind in (*row.ours, "product"):
            workers.append(
                Worker(sys.executable, "keras", kind, *arguments, cores=row.cores)
            )
        times, calls = take_turns(workers, pairs)
        facts = {worker.name: worker.facts for worker in workers}
    finally:
        for worker in workers:
            worker.end()
    return {
        "batch": row.batch,
        "size": row.size,
        "cores": row.cores,
        "seconds": times,
        "calls": calls,
        **{fact: gather(fact, facts) for fact in FACTS},
        "largest_difference": difference(facts),
    }


def gather(fact, facts):
    """Return a fact of the workers that have it, by name."""
    return {name: known[fact] for name, known in facts.items() if fact in known}


def take_turns(workers, turns):
    """Time workers in turns; return the seconds and the calls of a turn, by name."""
    calls = {worker.name: worker.calls_in(2) for worker in workers}
    times = {worker.name: [] for worker in workers}
    for _ in range(turns):
        for worker in workers:
            times[worker.name].append(worker.time(calls[worker.name]))
    return times, calls


def difference(facts):
    """Return the largest difference of probabilities with equal weights."""
    names = ("timm:eager", "keras:predict")
    if not all(name in facts for name in names):
        return None
    samples = [facts[name]["sample"] for name in names]
    return max(abs(a - b) for a, b in zip(*samples, strict=True))


def machine(peer):
    """Describe the machine and the versions, with those of the peer."""
    code = "import torch, timm; print(torch.__version__, timm.__version__)"
    found = subprocess.run([peer, "-c", code], capture_output=True, text=True)
    torch, timm = found.stdout.split()
    known = host(PACKAGES)
    known["versions"] |= {"torch": torch, "timm": timm}
    return known


def host(packages):
    """Describe the machine and the versions of installed packages."""
    cpus = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpus[0] if cpus else platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def write(row, record):
    """Add a row to the results; write the table and the plot."""
    results = (
        json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    )
    results[row] = record
    results = {row: results[row] for row in ROWS if row in results}
    with atomic_write(RESULTS) as unfinished:
        unfinished.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    with atomic_write(RESULTS.with_suffix(".md")) as unfinished:
        unfinished.write_text(table(results), encoding="utf-8")
    plot_cost(results, RESULTS.with_suffix(".png"))


def plot_cost(results, path):
    """Plot speed by batch size and by cores, time and memory by image size."""
    figure, axes = new_figure(2, 2, (9, 7))
    panels = (
        ("images in a batch, 224x224", "images a second", "batch", BATCHES, speed),
        ("cores, batch 16", "images a second", "cores", CORES, speed),
        ("height and width, batch 4", "ms an image", "size", SIZES, cost),
        ("height and width, batch 4", "MiB above imports", "size", SIZES, memory),
    )
    for axis, (title, unit, varied, rows, value) in zip(axes.flat, panels, strict=True):
        found = [results[row] for row in rows if row in results]
        for name in (*(f"timm:{kind}" for kind in BOTH), f"keras:{EXPORTS[0]}"):
            values = [value(record, name) for record in found]
            varying = [record[varied] for record in found]
            axis.plot(varying, values, "o-", label=name)
        axis.set(xlabel=title, ylabel=unit, ylim=(0, None))
        axis.set_xticks(varying)
        axis.legend()
    save_figure(figure, path)


def speed(record, name):
    """Return the images that a subject computes in a second."""
    return 1e3 / cost(record, name)


def cost(record, name):
    """Return the milliseconds of a subject for an image."""
    return 1e3 * statistics.median(record["seconds"][name]) / record["batch"]


def memory(record, name):
    """Return the peak memory of a subject above that after its imports, in MiB."""
    after_import = record.get("mib_after_import", {name: math.nan})
    return record["peak_mib"][name] - after_import[name]


def table(results):
    """Return the results as Markdown tables."""
    lines = []
    for row, record in results.items():
        base = min(
            (name for name in record["seconds"] if name.startswith("timm")),
            key=lambda name: statistics.median(record["seconds"][name]),
            default=next(iter(record["seconds"])),
        )
        lines += [
            "",
            f"### {row}",
            "",
            f"| | median, ms | spread, ms | as fast as {base} | of the product "
            "| MiB | above import |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, seconds in record["seconds"].items():
            turns = zip(record["seconds"][base], seconds, strict=True)
            ratio = statistics.median(a / b for a, b in turns)
            lines.append(
                f"| {name} | {1e3 * statistics.median(seconds):.1f} "
                f"| {1e3 * min(seconds):.1f}-{1e3 * max(seconds):.1f} | {ratio:.2f} "
                f"| {share(row, name, record)} | {record['peak_mib'][name]:.0f} "
                f"| {memory(record, name):.0f} |"
            )
    return "\n".join(lines[1:]) + "\n"


def share(row, name, record):
    """Return the speed of inference relative to that of the matrix product."""
    if not row.startswith("inference") or name == PRODUCT:
        return ""
    turns = zip(record["seconds"][PRODUCT], record["seconds"][name], strict=True)
    gflop = GFLOP[name.partition(":")[0]]
    speeds = [
        (gflop * record["batch"] / own) / (2 * 2.048**3 / product)
        for product, own in turns
    ]
    return f"{statistics.median(speeds):.0%}"


if __name__ == "__main__":
    main()
