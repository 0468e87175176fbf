"""Compare segmenters and detectors on TNT-S with KerasHub's own: speed and memory.

    python benchmarks/dense_speed.py [--pairs 7] [--rows segmenter_predict ...]
    python benchmarks/dense_speed.py --count segformer-b5-256 ...   # multiply-adds

The two subjects of a row run in a process each, with two threads, and take turns. A
ratio is the median over the pairs. KerasHub's model is the one whose multiply-adds are
nearest. Both have random weights; loss, optimizer and images are equal.

Writes benchmarks/results/dense_speed.json row by row, replaces repeated rows, and
prints all rows as a Markdown table.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

from vs_timm import Worker, host, take_turns

from keras_tnt.utils.files import write_json

RESULTS = Path(__file__).parent / "results" / "dense_speed.json"
PACKAGES = ["keras", "keras-hub", "tensorflow"]


class Row(NamedTuple):
    """A comparison.

    Attributes:
        ours: model of keras_tnt, as workers/dense_worker.py builds it.
        theirs: model of KerasHub.
        size: height and width of the images.
        work: "predict", "detect" or "train".
        batch: batch size.
    """

    ours: str
    theirs: str
    size: int
    work: str
    batch: int


SEGMENTERS = ("tnt-segmenter", "segformer-b4-768", 512)
DETECTORS = ("tnt-detector", "retinanet-101", 640)
ROWS = {
    "segmenter_predict": Row(*SEGMENTERS, "predict", 1),
    "segmenter_train": Row(*SEGMENTERS, "train", 2),
    "detector_predict": Row(*DETECTORS, "predict", 1),
    "detector_detect": Row(*DETECTORS, "detect", 1),
    "detector_train": Row(*DETECTORS, "train", 2),
}


def main():
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--count", nargs="+", metavar="MODEL", help="and stop")
    parser.add_argument("--size", type=int, default=512, help="of the counted images")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    for name in options.count or ():
        print(f"{name}: {count(name, options.size) / 1e9:.1f} billion", flush=True)
    if options.count:
        return
    results = {}
    if options.out.exists():
        results = json.loads(options.out.read_text(encoding="utf-8"))
    for row in options.rows:
        record = measure(ROWS[row], options.pairs)
        results[row] = record | {"machine": host(PACKAGES)}
        write_json(results, options.out)
    print(table(results))


def count(model, size):
    """Return the multiply-adds of a model for one image."""
    worker = Worker(sys.executable, "dense", model, "count", 1, size)
    worker.end()
    return worker.facts["multiply_adds"]


def measure(row, pairs):
    """Time both subjects of a row in turns."""
    names = {"ours": row.ours, "theirs": row.theirs}
    counts = {side: count(name, row.size) for side, name in names.items()}
    workers = {}
    try:
        for side, name in names.items():
            workers[side] = Worker(
                sys.executable, "dense", name, row.work, row.batch, row.size
            )
        seconds, calls = take_turns(list(workers.values()), pairs)
    finally:
        for worker in workers.values():
            worker.end()
    record = {"size": row.size, "work": row.work, "batch": row.batch}
    for side, worker in workers.items():
        facts = worker.facts
        record[side] = {
            "model": names[side],
            "parameters": facts["parameters"],
            "multiply_adds": counts[side],
            "seconds": seconds[worker.name],
            "calls": calls[worker.name],
            "mib_after_import": facts["mib_after_import"],
            "peak_mib": facts["peak_mib"],
        }
    return record


def table(results):
    """Return the results as a Markdown table, keras_tnt's models first."""
    lines = [
        "| images | models | multiply-adds, billion | ms | times as fast "
        "| MiB above import | memory, relative |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ROWS:
        if name not in results:
            continue
        record = results[name]
        sides = [record["ours"], record["theirs"]]
        pairs = zip(*(side["seconds"] for side in sides), strict=True)
        speed = statistics.median(theirs / ours for ours, theirs in pairs)
        memory = [side["peak_mib"] - side["mib_after_import"] for side in sides]
        cells = [
            f"{record['work']}, {record['batch']} of {record['size']}x{record['size']}",
            both(side["model"] for side in sides),
            both(f"{side['multiply_adds'] / 1e9:.1f}" for side in sides),
            both(f"{1e3 * statistics.median(side['seconds']):.0f}" for side in sides),
            f"{speed:.2f}",
            both(f"{value:.0f}" for value in memory),
            f"{memory[0] / memory[1]:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def both(values):
    """Return the values of both subjects as a cell."""
    return " / ".join(values)


if __name__ == "__main__":
    main()
