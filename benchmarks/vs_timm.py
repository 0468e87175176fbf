"""TNT-S of keras_tnt beside timm's: the same weights, pictures and threads.

    python benchmarks/vs_timm.py [--pairs 7] [--rows training_16 ...]

Everything that a row compares runs in a process of its own, and they take turns: A B C,
A B C, ... so that what else the machine does slows all alike. A ratio is the median of
those of the turns. PyTorch and timm are installed into an environment of their own,
.venv-timm, the first time; --timm-python names one that has them already.

Writes benchmarks/results/vs_timm.json, row by row; a row that is run again replaces the
one from before. The table beside it is made from all of them. It takes the extra
export.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
WORKERS = HERE / "workers"
RESULTS = HERE / "results" / "vs_timm.json"
PEER = ("torch==2.14.1", "torchvision==0.29.1", "timm==1.0.31")
PACKAGES = ["keras", "tensorflow", "onnxruntime", "openvino", "ai-edge-litert"]
EXPORTS = [
    "savedmodel-float32",
    "onnx-float32",
    "openvino-float32",
    "litert-float32",
]
PRODUCT = "keras:product"
GFLOP = 10.4  # of an image, multiplications and additions
INT8 = ["onnx-int8", "openvino-int8", "litert-int8"]
# Row: batch, what of timm, what of keras_tnt. The first is what the others are
# compared with.
ROWS = {
    "inference_16": (16, ["eager", "compiled"], ["predict", *EXPORTS]),
    "inference_1": (1, ["eager", "compiled"], ["predict", *EXPORTS]),
    "int8_16": (16, ["eager", "compiled"], INT8),
    "int8_1": (1, ["eager", "compiled"], INT8),
    "training_16": (16, ["train", "train_compiled"], ["train"]),
    "fewer_inner_blocks_16": (16, [], ["predict", "predict_s1"]),
    "memory_32": (32, ["train", "train_checkpointing"], ["train", "train_remat"]),
}


class Worker:
    """A process that times a thing when told to."""

    def __init__(self, python, script, kind, batch, weights):
        self.name = f"{script}:{kind}"
        command = [python, WORKERS / f"{script}_worker.py", kind, str(batch), weights]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.facts = {}
        while not self.facts.get("ready"):
            self.facts |= self._answer()

    def time(self, calls):
        """Seconds of a call, the mean of some."""
        print(calls, file=self.process.stdin, flush=True)
        answer = self._answer()
        self.facts["peak_mib"] = answer["peak_mib"]
        return answer["seconds"]

    def end(self):
        """Ends the process."""
        self.process.kill()
        self.process.wait()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended: run it by hand to see why.")
        return json.loads(line)


def main():
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--timm-python", type=Path)
    options = parser.parse_args()
    peer = options.timm_python or install()
    with tempfile.TemporaryDirectory() as folder:
        weights = f"{folder}/tnt_s.safetensors"
        save = [peer, WORKERS / "timm_worker.py", "save", "1", weights]
        subprocess.run(save, check=True)
        for row in options.rows:
            record = measure(row, options.pairs, peer, weights)
            write(row, record | {"machine": machine(peer)})


def install():
    """Makes the environment of the peer; returns its Python."""
    folder = ROOT / ".venv-timm"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PEER], check=True)
        (folder / "complete").touch()
    return python


def measure(row, pairs, peer, weights):
    """Times the things of a row in turns."""
    batch, theirs, ours = ROWS[row]
    workers = []
    try:
        for kind in theirs:
            workers.append(Worker(peer, "timm", kind, batch, weights))
        for kind in ours:
            workers.append(Worker(sys.executable, "keras", kind, batch, weights))
        workers.append(Worker(sys.executable, "keras", "product", batch, weights))
        # Each measurement takes two seconds or so.
        calls = [max(1, round(2 / worker.time(1))) for worker in workers]
        times = {worker.name: [] for worker in workers}
        for _ in range(pairs):
            for worker, number in zip(workers, calls, strict=True):
                times[worker.name].append(worker.time(number))
        facts = {worker.name: worker.facts for worker in workers}
    finally:
        for worker in workers:
            worker.end()
    return {
        "batch": batch,
        "seconds": times,
        "calls": dict(zip(times, calls, strict=True)),
        "peak_mib": {name: known["peak_mib"] for name, known in facts.items()},
        "first_step": {
            name: known["first_step"]
            for name, known in facts.items()
            if "first_step" in known
        },
        "largest_difference": difference(facts),
    }


def difference(facts):
    """How far the probabilities of both are apart, where they have the same weights."""
    names = ("timm:eager", "keras:predict")
    if not all(name in facts for name in names):
        return None
    samples = [facts[name]["sample"] for name in names]
    return max(abs(a - b) for a, b in zip(*samples, strict=True))


def machine(peer):
    """What it was measured on."""
    code = "import torch, timm; print(torch.__version__, timm.__version__)"
    found = subprocess.run([peer, "-c", code], capture_output=True, text=True)
    torch, timm = found.stdout.split()
    cpus = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpus[0] if cpus else platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES}
        | {"torch": torch, "timm": timm},
    }


def write(row, record):
    """Adds a row to the results, and makes the table."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[row] = record
    results = {row: results[row] for row in ROWS if row in results}
    replace(RESULTS, json.dumps(results, indent=1) + "\n")
    replace(RESULTS.with_suffix(".md"), table(results))


def replace(path, text):
    """Writes a file in one step."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def table(results):
    """The table, as Markdown, of the raw results."""
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
            f"| | median, ms | spread, ms | as fast as {base} | of the product | MiB |",
            "|---|---|---|---|---|---|",
        ]
        for name, seconds in record["seconds"].items():
            turns = zip(record["seconds"][base], seconds, strict=True)
            ratio = statistics.median(a / b for a, b in turns)
            lines.append(
                f"| {name} | {1e3 * statistics.median(seconds):.1f} "
                f"| {1e3 * min(seconds):.1f}-{1e3 * max(seconds):.1f} | {ratio:.2f} "
                f"| {share(row, name, record)} | {record['peak_mib'][name]:.0f} |"
            )
    return "\n".join(lines[1:]) + "\n"


def share(row, name, record):
    """Share of the product's speed that the inference of TNT-S reaches."""
    if not row.startswith("inference") or name == PRODUCT:
        return ""
    turns = zip(record["seconds"][PRODUCT], record["seconds"][name], strict=True)
    speeds = [
        (GFLOP * record["batch"] / own) / (2 * 2.048**3 / product)
        for product, own in turns
    ]
    return f"{statistics.median(speeds):.0%}"


if __name__ == "__main__":
    main()
