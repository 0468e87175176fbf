"""Estimate a training step of TNT-S on 1 to 512 accelerators.

    python benchmarks/scaling.py [--speed 240] [--node 450] [--network 25]

Multiply-adds come from XLA's program (`results/xla_cost.json`), the size of the
gradients from the model. Speeds are assumed: of a device in TFLOP/s, and for each
device in GB/s of the links inside a node of eight devices and between nodes. Prints a
Markdown table.

`results/distribution.json` has what two processes of the demo's model really sent in a
step; the last line compares it with the formula.
"""

import argparse
import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PARAMETERS = 23_768_584  # of TNT-S
BYTES = 4  # of a float32
COPIES = 5  # weights, gradients, two moments of Adam, moving average
BATCH = 128  # images of a device
DEVICES = (1, 8, 64, 512)
NODE = 8  # devices


def main():
    """Print the estimates."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speed", type=float, default=240, help="TFLOP/s of a device")
    parser.add_argument("--node", type=float, default=450, help="GB/s inside a node")
    parser.add_argument("--network", type=float, default=25, help="GB/s between nodes")
    options = parser.parse_args()
    cost = json.loads((RESULTS / "xla_cost.json").read_text(encoding="utf-8"))
    multiply_adds = cost["training, keras_tnt"]["multiply_adds"] / cost["batch"]
    work = 2 * multiply_adds * BATCH  # of a device in a step
    gradients = PARAMETERS * BYTES
    print(
        f"A step of a device: {work / 1e12:.1f} TFLOP. Gradients: "
        f"{gradients / 1e6:.0f} MB. Weights and their copies: "
        f"{COPIES * gradients / 1e6:.0f} MB.\n"
    )
    print(
        "| devices | images a step | MB sent by each device | computing, ms "
        "| sending, ms | efficiency, sending afterwards | sending while computing |"
    )
    print("|---|---|---|---|---|---|---|")
    for devices in DEVICES:
        sent = bytes_sent(gradients, devices)
        speed = options.node if devices <= NODE else options.network
        computing = 1e3 * work / (options.speed * 1e12)
        sending = 1e3 * sent / (speed * 1e9)
        print(
            f"| {devices} | {devices * BATCH:,} | {sent / 1e6:.0f} | {computing:.1f} "
            f"| {sending:.2f} | {computing / (computing + sending):.0%} "
            f"| {computing / max(computing, sending):.0%} |"
        )
    compare()


def bytes_sent(gradients, devices):
    """Return what each device sends in a ring all-reduce.

    Each of ``devices`` parts of the gradients goes around the ring twice: once to be
    summed, once to be spread.
    """
    return 2 * (devices - 1) / devices * gradients


def compare():
    """Print what two processes sent beside the formula, if it was measured."""
    path = RESULTS / "distribution.json"
    rounds = json.loads(path.read_text(encoding="utf-8"))["rounds"]
    measured = next(case for case in rounds[-1] if case["case"] == "two_processes")
    parameters, found = measured["parameters"], measured["bytes_per_step"]
    expected = 2 * bytes_sent(BYTES * parameters, 2)
    print(
        f"\nTwo processes of a model with {parameters:,} parameters sent "
        f"{found / 1e6:.2f} MB a step. The formula gives {expected / 1e6:.2f} MB."
    )


if __name__ == "__main__":
    main()
