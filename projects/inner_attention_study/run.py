"""Start or continue the study: train each run that runs.jsonl lacks.

    python projects/inner_attention_study/run.py [--hours 2] [--jobs 2] [--dry-run]

Each training runs in its own process. Every finished run appends a line, so the study
can be stopped at any time. `report.py` makes tables and images of the lines.
Fashion-MNIST comes from Debian's package, which is installed with apt-get if missing.
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
    """Train the missing runs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--hours", type=float, default=6, help="start no run after this time"
    )
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        help="number of parallel runs, which share the cores",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only list the missing runs"
    )
    options = parser.parse_args()
    if options.dry_run:
        for run in plan.missing(read(options.records)):
            print(*dataclasses.astuple(run))
        return
    fashion_mnist.install()
    end = time.monotonic() + 3600 * options.hours
    work(options.records, options.jobs, end)
    if plan.missing(read(options.records)):
        print("Time limit reached. Run the same command to continue.")


def work(records, jobs, end):
    """Train the missing runs until all are done or the time is over.

    Args:
        records: path of the records.
        jobs: number of parallel trainings, which share the cores.
        end: the time, by `time.monotonic`, after which no run starts.

    Raises:
        SystemExit: if a training fails, once the parallel ones have ended.
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
    """Train in a separate process; store and print the result."""
    record = run_in_process(run, threads)
    add(records, record)
    print(
        f"{run.phase}: {run.variant}, rate {run.learning_rate:g}, seed {run.seed}, "
        f"{run.images:,} images: {record['accuracy']:.2%} "
        f"in {record['seconds']:.0f} s; "
        f"{len(plan.missing(read(records)))} known runs are left.",
        flush=True,
    )


def read(path):
    """Return the records of the finished runs."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def add(path, record):
    """Append one complete line, safely beside other processes."""
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def run_in_process(run, threads):
    """Train in a separate process and return the record."""
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
