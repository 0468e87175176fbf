"""Keras files under any name."""

import contextlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
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

    Raises:
        ValueError: if the file is damaged or has an unknown class. The message lacks
            its subject, the file.
    """
    try:
        with _with_suffix(path) as file:
            return keras.saving.load_model(file, compile=False)
    except (zipfile.BadZipFile, KeyError, OSError, TypeError, ValueError) as error:
        unknown = re.search(r"Could not locate (class|function) '\w+'", str(error))
        if unknown:
            raise ValueError(
                f"has an unknown {unknown[1]}. {unknown[0]}; import and register "
                "it before loading."
            ) from error
        raise ValueError(f"is not a complete model file: {error}") from error


@contextlib.contextmanager
def _with_suffix(path: Path) -> Iterator[Path]:
    """The file itself, or a copy whose name Keras takes: Windows forbids links."""
    if path.name.endswith(".keras"):
        yield path
        return
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "model.keras"
        shutil.copyfile(path, copy)
        yield copy
