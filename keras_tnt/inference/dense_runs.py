"""Runs of dense tasks: segmentation and detection."""

from pathlib import Path

import keras

from keras_tnt.compat.model_files import load_keras_file
from keras_tnt.training.run_directory import RunDirectory
from keras_tnt.utils.typing import PathLike


def run_task(source: PathLike) -> str | None:
    """Return the task of a run directory, or ``None`` if a path is none.

    Example:
        >>> from keras_tnt.inference import run_task
        >>> run_task("no_such_run") is None
        True
    """
    run = RunDirectory(Path(source))
    return run.read_recipe()[0].task if run.recipe.is_file() else None


def load_run(source: PathLike, task: str) -> tuple[keras.Model, list[str]]:
    """Load the model of a run directory and the names of its classes.

    Args:
        source: the directory.
        task: the task that the run must have.

    Raises:
        FileNotFoundError: if it is not a run directory.
        ValueError: if the run has another task, or has not ended.
    """
    run = RunDirectory(Path(source))
    recipe, class_names = run.read_recipe()
    if recipe.task != task:
        raise ValueError(
            f"{str(source)!r} is a run of the task {recipe.task}, expected one of "
            f"{task}."
        )
    return load_keras_file(run.trained_model()), class_names
