"""Make tests/assets/backends: a model saved with each backend, and its outputs.

    KERAS_BACKEND=tensorflow python scripts/make_backend_files.py
    KERAS_BACKEND=jax python scripts/make_backend_files.py

All files hold the same weights. The outputs are those of TensorFlow.
"""

from pathlib import Path

import keras
import numpy as np
from safetensors.numpy import save_file

import keras_tnt

DIRECTORY = Path(__file__).parents[1] / "tests" / "assets" / "backends"


def main() -> None:
    """Write the files of the current backend."""
    backend = keras.backend.backend()
    model = keras_tnt.TNT(
        16, 8, depth=2, outer_num_heads=2, inner_num_heads=2, classes=3,
        input_shape=(32, 32, 3),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape).astype("float32"))
    DIRECTORY.mkdir(exist_ok=True)
    model.save(DIRECTORY / f"{backend}.keras")
    if backend == "tensorflow":
        images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
        outputs = np.asarray(model(images.astype("float32")))
        save_file({"outputs": outputs}, DIRECTORY / "outputs.safetensors")


if __name__ == "__main__":
    main()
