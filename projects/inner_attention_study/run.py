"""Runs the study, or goes on with it: each run that is not in runs.jsonl yet.

    python projects/inner_attention_study/run.py [--hours 2] [--jobs 2] [--dry-run]

One training after another, or several at a time, each in a process of its own; a line
is added for each that has ended, so that it can be stopped at any time. Then
`report.py` makes tables and images. Takes the extra dev, and Fashion-MNIST from
Debian's package, which it installs if it can.
"""

import argparse
import concurrent.futures
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
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at a time, which share the cores"
    )
    parser.add_argument("--dry-run", action="store_true", help="only list the runs")
    options = parser.parse_args()
    if options.dry_run:
        for run in plan.missing(read(options.records)):
            print(*dataclasses.astuple(run))
        return
    fashion_mnist.install()
    end = time.monotonic() + 3600 * options.hours
    work(options.records, options.jobs, end)
    if plan.missing(read(options.records)):
        print("The time is over; the same command goes on.")


def work(records, jobs, end):
    """Trains, several at a time, until all is done or the time is over.

    Args:
        records: path of the records.
        jobs: how many trainings at a time; each gets its share of the cores.
        end: the time, by `time.monotonic`, after which none is begun.

    Raises:
        SystemExit: if a training fails, after those beside it have ended.
    """
    threads = max(1, os.cpu_count() // jobs)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        begun = {}
        while True:
            waiting = [
                run for run in plan.missing(read(records)) if run not in begun.values()
            ]
            if time.monotonic() < end:
                for run in waiting[: jobs - len(begun)]:
                    begun[pool.submit(train, run, threads, records)] = run
            if not begun:
                return
            ended, _ = concurrent.futures.wait(
                begun, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in ended:
                del begun[future]
                future.result()


def train(run, threads, records):
    """Trains in a process of its own, and adds and tells what came of it."""
    record = run_apart(run, threads)
    add(records, record)
    print(
        f"{run.phase}: {run.variant}, rate {run.learning_rate:g}, seed {run.seed}, "
        f"{run.pictures:,} images: {record['accuracy']:.2%} "
        f"in {record['seconds']:.0f} s; "
        f"{len(plan.missing(read(records)))} runs are known to be left.",
        flush=True,
    )


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
