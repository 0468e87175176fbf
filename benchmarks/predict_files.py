"""Classify 1,000 JPEGs with `keras-tnt predict`, and with a loop around timm.

    python benchmarks/predict_files.py [--images 1000] [--pairs 3]

Each side is one process that starts, loads TNT-S, reads and decodes the files and
prints the five best classes of each. timm's side is a loop over a `DataLoader` with two
workers. They take turns; a ratio is the median over the pairs. The photographs have two
megapixels. The result is benchmarks/results/predict_files.json.

Each side runs in an environment of its own that has nothing else: TensorFlow and Keras
import JAX, scikit-learn, pandas and matplotlib where they are installed, which takes
seconds. The first call installs them; --python and --timm-python select others.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from PIL import Image
from vs_timm import PHOTO, RESULTS, ROOT, WORKERS, install, machine

import keras_tnt
from keras_tnt.utils.files import write_json

SIZE = (1632, 1224)  # width and height: two megapixels
ALONE = ("-c", ROOT / "constraints.txt", "-e", ROOT)


def main():
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--python", type=Path)
    parser.add_argument("--timm-python", type=Path)
    options = parser.parse_args()
    own = options.python or install(".venv-alone", ALONE)
    peer = options.timm_python or install()
    with tempfile.TemporaryDirectory() as directory:
        images = Path(directory) / "images"
        make_photographs(images, options.images)
        model = Path(directory) / "tnt_s.keras"
        keras_tnt.TNTSmall(weights=None).save(model)
        predict = [own, "-m", "keras_tnt", "predict", images, "--model"]
        commands = {
            "timm": [peer, WORKERS / "timm_files.py", images],
            "keras_tnt": [*predict, model],
            "keras_tnt, bfloat16": [*predict, model, "--precision", "bfloat16"],
        }
        seconds = {name: [] for name in commands}
        for _ in range(options.pairs):
            for name, command in commands.items():
                seconds[name].append(run(command, options.images))
                print(name, seconds[name][-1], flush=True)
    ratios = {
        name: statistics.median(
            theirs / ours for theirs, ours in zip(seconds["timm"], times, strict=True)
        )
        for name, times in seconds.items()
    }
    record = {
        "images": options.images,
        "size": SIZE,
        "seconds": seconds,
        "as_fast_as_timm": ratios,
        "machine": machine(peer),
    }
    write_json(record, RESULTS.with_name("predict_files.json"))
    print(ratios)


def make_photographs(directory, number):
    """Write different photographs, cut from one."""
    directory.mkdir()
    photo = Image.open(PHOTO).convert("RGB").resize([2 * side for side in SIZE])
    for index in range(number):
        left, top = (
            index * step % side for step, side in zip((37, 53), SIZE, strict=True)
        )
        box = (left, top, left + SIZE[0], top + SIZE[1])
        photo.crop(box).save(directory / f"{index:04}.jpg", quality=90)


def run(command, images):
    """Return the seconds that a process takes; check that it printed all answers."""
    started = time.perf_counter()
    process = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ
    )
    seconds = time.perf_counter() - started
    if process.stdout.count(".jpg") != images:
        raise RuntimeError(f"Not all images were classified: {process.stderr}")
    return seconds


if __name__ == "__main__":
    main()
