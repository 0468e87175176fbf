"""How long `import keras_tnt` takes, beside the packages that it builds on.

    python benchmarks/import_time.py

Builds the wheel of this repository and unpacks it into a temporary directory. Each
import runs in a new Python process; the packages take turns. The first round, which
compiles modules and reads them from the disk, does not count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from keras_tnt.cli.benchmark import describe_machine

RESULTS = Path(__file__).with_name("results") / "import_time.json"
PACKAGES = ("tensorflow", "keras", "keras_tnt", "keras_hub")
TIMED_IMPORT = """
import json, sys, time
wall, cpu = time.perf_counter(), time.process_time()
package = __import__(sys.argv[1])
seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
print(json.dumps(seconds | {"file": package.__file__}))
"""


def main():
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        install_wheel(directory)
        rounds = [run_round(directory) for _ in range(options.rounds + 1)][1:]
    record = {"machine": describe_machine(), "rounds": options.rounds}
    for clock in ("cpu", "wall"):
        record[f"{clock}_seconds"] = summarize(rounds, clock)
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


def install_wheel(directory):
    """Build the wheel and install it, without what it depends on."""
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", directory, ROOT], check=True
    )
    (wheel,) = Path(directory).glob("*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", directory, wheel], check=True
    )


def run_round(directory):
    """Import each package in a process of its own; return the seconds by package."""
    seconds = {}
    for package in PACKAGES:
        process = subprocess.run(
            [sys.executable, "-c", TIMED_IMPORT, package],
            cwd=directory,
            env=os.environ | {"PYTHONPATH": directory, "KERAS_BACKEND": "tensorflow"},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds[package] = json.loads(process.stdout.splitlines()[-1])
        file = seconds[package].pop("file")
        if package == "keras_tnt" and not Path(file).is_relative_to(directory):
            sys.exit(f"Expected keras_tnt from the wheel, got {file}.")
    return seconds


def summarize(rounds, clock):
    """Return all seconds, their medians, and what keras_tnt adds to Keras."""
    seconds = {
        package: [round(measured[package][clock], 3) for measured in rounds]
        for package in PACKAGES
    }
    pairs = zip(seconds["keras_tnt"], seconds["keras"], strict=True)
    return {
        "all": seconds,
        "medians": {name: statistics.median(seconds[name]) for name in PACKAGES},
        "keras_tnt_minus_keras": round(statistics.median(a - b for a, b in pairs), 3),
    }


if __name__ == "__main__":
    main()
