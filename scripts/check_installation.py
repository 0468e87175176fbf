"""Check that an installed keras_tnt predicts, in Python and on the command line.

`make test-dist` installs wheel and sdist into new environments and runs this there. The
option -I keeps the clone out of the import path:

    .venv-dist/bin/python -I scripts/check_installation.py
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_tnt

ROOT = Path(__file__).parents[1]


def main():
    """Run the checks; an error ends the process."""
    package = Path(keras_tnt.__file__).parent
    if package == ROOT / "keras_tnt":
        raise SystemExit("keras_tnt comes from the clone. Run python with -I.")
    if list(package.rglob("*.tfrecord*")):
        raise SystemExit("The package has images of the demo, expected none.")
    keras.utils.set_random_seed(0)
    model = keras_tnt.TNT(
        48, 12, depth=1, outer_num_heads=3, classes=7, input_shape=(64, 64, 3)
    )
    with tempfile.TemporaryDirectory() as directory:
        image, file = Path(directory, "image.jpg"), Path(directory, "model.keras")
        pixels = np.random.default_rng(0).integers(256, size=(80, 120, 3))
        image.write_bytes(tf.io.encode_jpeg(pixels.astype("uint8")).numpy())
        model.save(file)
        command = Path(sys.executable).with_name("keras-tnt")
        printed = subprocess.run(
            [command, "predict", image, "--model", file, "--json"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        ).stdout
        prepared = keras_tnt.preprocess_input(keras_tnt.load_image(image), 64)
    expected = model.predict(prepared[None], verbose=0).max()
    (best, *_) = json.loads(printed)["classes"]
    np.testing.assert_allclose(best["score"], expected, atol=1e-5)
    print(f"keras_tnt {keras_tnt.__version__} in {package} predicts.")


if __name__ == "__main__":
    main()
