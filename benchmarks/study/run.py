"""Runs the study, or goes on with it: each run that is not in runs.jsonl yet.

    python benchmarks/study/run.py [--hours 2] [--dry-run]

One training after another, each in a process of its own; a line is added for each that
has ended, so that it can be stopped at any time. Then `report.py` makes tables and
pictures. Takes the extra dev, and Fashion-MNIST from Debian's package, which it
installs if it can.
"""

import argparse
import dataclasses
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import fashion_mnist
import plan

HERE = Path(__file__).parent
RECORDS = HERE / "runs.jsonl"


def main():
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--hours", type=float, default=6, help="begin no run after them"
    )
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--dry-run", action="store_true", help="only list the runs")
    options = parser.parse_args()
    if options.dry_run:
        for run in plan.missing(read(options.records)):
            print(*dataclasses.astuple(run))
        return
    fashion_mnist.install()
    end = time.monotonic() + 3600 * options.hours
    while (runs := plan.missing(read(options.records))) and time.monotonic() < end:
        run = runs[0]
        record = run_apart(run, options.threads)
        add(options.records, record)
        print(
            f"{run.phase}: {run.variant}, rate {run.learning_rate:g}, seed {run.seed}, "
            f"{run.pictures:,} pictures: {record['accuracy']:.2%} "
            f"in {record['seconds']:.0f} s; {len(runs) - 1} runs are known to be left.",
            flush=True,
        )
    if runs:
        print("The time is over; the same command goes on.")


def read(path):
    """The records of the runs that have ended."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def add(path, record):
    """Adds a line, whole or not at all, also when another process adds one."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def run_apart(run, threads):
    """Trains in a process of its own; returns the record."""
    fields = json.dumps(dataclasses.asdict(run))
    process = subprocess.run(
        [sys.executable, HERE / "train.py", fields, f"--threads={threads}"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(fashion_mnist.ROOT)},
    )
    if process.returncode:
        raise SystemExit(f"{run} failed:\n{process.stderr[-3000:]}")
    return json.loads(process.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
