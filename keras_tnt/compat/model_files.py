"""Keras files under any name."""

import tempfile
from pathlib import Path

import keras


def load_keras_file(path: Path) -> keras.Model:
    """Load a model from a Keras file, whatever its name, without compiling it.

    Fault: `keras.saving.load_model` refuses a Keras file whose name does not end with
    ``.keras``.
    Issue: no issue known; Keras documents the suffix.
    Seen in: Keras 3.15.1 (first and last version checked).

    Args:
        path: the file.

    Returns:
        A `keras.Model`.
    """
    with tempfile.TemporaryDirectory() as directory:
        link = Path(directory) / "model.keras"
        link.symlink_to(path.resolve())
        return keras.saving.load_model(link, compile=False)
