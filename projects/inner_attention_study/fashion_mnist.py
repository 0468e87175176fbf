"""The complete Fashion-MNIST, read from the files of Debian's package."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

HELD_OUT = 10_000


def install():
    """Install Debian's package if the files are missing and apt-get exists."""
    from fashion_mnist_files import ORIGINALS

    if ORIGINALS.is_dir():
        print(f"Fashion-MNIST is in {ORIGINALS}.")
        return
    command = ["apt-get", "install", "-qq", "-y", "dataset-fashion-mnist"]
    if shutil.which("apt-get"):
        print("Installing Fashion-MNIST: " + " ".join(command))
        subprocess.run(command, check=False)


def load(held_out=False, originals=None):
    """Read the images.

    Args:
        held_out: whether the last 10,000 training images replace the test set.
        originals: directory of the four `.gz` files; Debian's by default.

    Returns:
        `(images, labels), (images, labels)` for training and for evaluation; images
        are `(n, 28, 28, 1)` uint8, labels `(n,)` uint8.

    Raises:
        FileNotFoundError: if the files are missing; the message says how to get them.
    """
    from fashion_mnist_files import ORIGINALS, read_idx  # checks contents

    originals = ORIGINALS if originals is None else originals
    train, test = (
        (
            read_idx(originals / f"{part}-images-idx3-ubyte.gz")[..., None],
            read_idx(originals / f"{part}-labels-idx1-ubyte.gz"),
        )
        for part in ("train", "t10k")
    )
    if held_out:
        test = tuple(values[-HELD_OUT:] for values in train)
        train = tuple(values[:-HELD_OUT] for values in train)
    return train, test
