"""Train one model with several workers, each a process with its own devices.

    python examples/multi_worker.py                 # two workers on this machine
    python examples/multi_worker.py --workers 3

On several machines, set TF_CONFIG on each (or use Slurm's srun) and use a shared run
directory:

    python examples/multi_worker.py --recipe tnt_small_imagenet --out /shared/runs/tnt_s

The same command resumes an interrupted run.
"""

import argparse
import dataclasses
import json
import os
import socket
import subprocess
import sys

from keras_tnt import distribute
from keras_tnt.training import train
from keras_tnt.training.recipes import RECIPES


def work(options):
    """Train as one worker; all workers run this with the same options."""
    # Before TensorFlow computes anything. This waits for the other workers.
    strategy = distribute.create_strategy("multi_worker")

    recipe = RECIPES[options.recipe]()
    if options.recipe == "fashion_mnist_demo":  # a short run
        recipe = dataclasses.replace(recipe, train_split="train[:20%]", epochs=3)

    # Each worker reads its own part of every global batch; only the chief writes.
    result = train(recipe, options.out, strategy)

    if distribute.is_chief(strategy):
        accuracy = result.history[-1]["val_accuracy"]
        print(f"Accuracy with {strategy.num_replicas_in_sync} replicas: {accuracy:.1%}")


def start_workers(number):
    """Start this script once per worker and return the highest exit status."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(number)]
    addresses = [f"localhost:{free.getsockname()[1]}" for free in sockets]
    for free in sockets:
        free.close()
    workers = []
    for index in range(number):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        workers.append(
            subprocess.Popen(
                [sys.executable, *sys.argv], env=os.environ | {"TF_CONFIG": config}
            )
        )
    return max(abs(worker.wait()) for worker in workers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", choices=RECIPES, default="fashion_mnist_demo")
    parser.add_argument("--out", default="runs/multi_worker")
    parser.add_argument("--workers", type=int, default=2, help="on this machine")
    options = parser.parse_args()
    if "TF_CONFIG" in os.environ or "SLURM_STEP_NUM_TASKS" in os.environ:
        work(options)
    else:
        sys.exit(start_workers(options.workers))
