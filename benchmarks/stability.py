"""Train with the ImageNet recipe at small scale, and check that no loss jumps.

    python benchmarks/stability.py [--out runs/stability]

Trains the demo's TNT on the bundled data set with the recipe `tnt_small_imagenet`, with
all its augmentation, its moving average and its schedule by epoch. No epoch after the
warm-up may have a mean training loss of more than 1.1 times that of the epoch before.
Writes benchmarks/results/stability.json and docs/images/stability.png. An interrupted
run resumes with the same command. The exit status is 1 if a loss jumps.
"""

import argparse
import dataclasses
import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_tnt.training import (
    RunDirectory,
    fashion_mnist_demo,
    tnt_small_imagenet,
    train,
)
from keras_tnt.training.transfer_recipes import scaled_ema_decay
from keras_tnt.utils.files import write_json
from keras_tnt.visualization.plot_results import plot_training_curves

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "stability.json"
CURVES = ROOT / "docs" / "images" / "stability.png"

LIMIT = 1.1
BATCH_SIZE = 128
STEPS = 31 * (12_000 // BATCH_SIZE)


def recipe():
    """Return the ImageNet recipe, scaled down to the demo's model and images.

    A tenth of the epochs: 30 of warm-up and cosine instead of 300, and one of cool-down
    instead of ten. Half an epoch of warm-up is rounded up to one. The learning rates
    are the recipe's, not scaled with the batch. Batches of 128 have four groups to mix,
    so that no group has two copies of an image. The moving average covers the same
    share of the training.
    """
    demo, full = fashion_mnist_demo(), tnt_small_imagenet()
    return dataclasses.replace(
        full,
        model=demo.model,
        model_options=demo.model_options | full.model_options,
        data=demo.data,
        validation_split=demo.validation_split,
        image_size=demo.image_size,
        channels=demo.channels,
        crop_fraction=demo.crop_fraction,
        augmentation=dataclasses.replace(
            full.augmentation, mix_group_size=BATCH_SIZE // 4
        ),
        cache=True,
        epochs=31,
        warmup_epochs=1,
        cooldown_epochs=1,
        batch_size=BATCH_SIZE,
        reference_batch_size=BATCH_SIZE,
        ema_decay=scaled_ema_decay(STEPS),
        precision="float32",
    )


def jumps(losses, warmup_epochs):
    """Return the ratio of each loss after the warm-up to the one before, by epoch.

    Args:
        losses: mean loss of each epoch, in order.
        warmup_epochs: epochs of the warm-up, at least 1.

    Returns:
        A dict from the epoch, counted from 1, to the ratio.
    """
    return {
        epoch: losses[epoch - 1] / losses[epoch - 2]
        for epoch in range(warmup_epochs + 1, len(losses) + 1)
    }


def main():
    """Train, write the result and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="runs/stability", help="default: %(default)s")
    run = RunDirectory(parser.parse_args().out)
    settings = recipe()
    history = train(settings, run.path, verbose=2).history
    ratios = jumps([row["loss"] for row in history], settings.warmup_epochs)
    worst = max(ratios, key=ratios.get)
    record = {
        "recipe": dataclasses.asdict(settings),
        "history": history,
        "limit": LIMIT,
        "largest_ratio": round(ratios[worst], 4),
        "largest_ratio_at_epoch": worst,
        "cpus": os.cpu_count(),
        "versions": {name: version(name) for name in ("keras", "tensorflow")},
    }
    write_json(record, RESULTS)
    plot_training_curves(run.history, CURVES)
    stable = ratios[worst] <= LIMIT
    print(
        f"The loss of epoch {worst} is {ratios[worst]:.3f} times that of the epoch "
        f"before, the largest ratio: {'stable' if stable else 'unstable'}."
    )
    return 0 if stable else 1


if __name__ == "__main__":
    sys.exit(main())
