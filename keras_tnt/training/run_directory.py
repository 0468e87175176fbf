"""The directory of a training run."""

from __future__ import annotations

import dataclasses
import json
import logging
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import keras

from keras_tnt._version import __version__
from keras_tnt.training.checkpoints import Checkpoints
from keras_tnt.training.recipe import Recipe
from keras_tnt.utils.files import create_directory, local_path, write_json
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import PathLike

logger = logging.getLogger(__name__)

# Fields that may change when a run resumes. From images that can be read, the updates
# stay the same, but for roundings. The teacher has the same weights.
CHANGEABLE = {
    "data_dir",
    "teacher",
    "skip_corrupt",
    "cache",
    "remat",
    "jit_compile",
    "steps_per_execution",
    "deterministic",
    "checkpoint_every",
    "keep_checkpoints",
    "keep",
    "patience",
}


def _file(name):
    """A property: the path of a file or directory in the run directory."""

    def path(self) -> Path:
        return self.path / name

    return property(path)


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """Names the files of a run.

    Attributes:
        path: the directory.

    Example:
        >>> from keras_tnt.training import fashion_mnist_demo
        >>> from keras_tnt.training.run_directory import RunDirectory
        >>> run = RunDirectory("my_run")
        >>> run.begin(fashion_mnist_demo(), ["shirt", "shoe"])
        >>> recipe, class_names = run.read_recipe()
        >>> class_names
        ['shirt', 'shoe']
    """

    path: Any  # a pathlib.Path, made from any path

    def __post_init__(self):
        object.__setattr__(self, "path", local_path(self.path))

    model = _file("model.keras")
    saved_model = _file("saved_model")
    history = _file("history.csv")
    recipe = _file("recipe.json")
    checkpoints = _file("checkpoints")
    best = _file("best")
    tensorboard = _file("tensorboard")
    curves = _file("curves.png")
    predictions = _file("predictions.png")
    attention = _file("attention.png")
    images = _file("images")

    def contents(self) -> list[tuple[Path, str]]:
        """Return pairs of each existing file of the run and its description."""
        known = [
            (self.model, "the trained model"),
            (self.saved_model / "1", "the model for TensorFlow Serving"),
            (self.history, "loss and metrics by epoch"),
            (self.curves, "plots of the history"),
            (self.recipe, "the recipe"),
            (self.checkpoints, "the last checkpoints, for resuming"),
            (self.best, "the checkpoint of the best epoch of the validation"),
            (self.tensorboard, "the history for TensorBoard"),
            (self.predictions, "images with true and predicted names"),
            (self.attention, "what the class token and the pixels attend to"),
            (self.images, "some images of the test set"),
        ]
        return [(path, what) for path, what in known if path.exists()]

    def trained_model(self) -> Path:
        """Return the path of the model that the training has written at its end.

        Raises:
            ValueError: if the training has not ended.
        """
        if self.model.exists():
            return self.model
        raise ValueError(
            f"{str(self.path)!r} has no model yet, because its training has not ended. "
            f"Resume it: keras-tnt train --recipe {self.recipe} --out {self.path}"
        )

    @classmethod
    def create(cls, path: PathLike) -> Self:
        """Create a new directory.

        Args:
            path: the directory, which must not exist or be empty.

        Returns:
            A `RunDirectory`.

        Raises:
            FileExistsError: if ``path`` exists and is not an empty directory.
            ValueError: if ``path`` is a URL.
        """
        return cls(create_directory(path))

    def begin(
        self, recipe: Recipe, class_names: Sequence[str], teacher: str | None = None
    ) -> None:
        """Start a run in a new or empty directory, or resume the one in it.

        A run without a checkpoint yet is replaced. A run with one keeps its recipe,
        except for the fields in `CHANGEABLE`.

        Args:
            recipe: a `keras_tnt.training.Recipe`.
            class_names: names of the classes, in the order of the labels.
            teacher: checksum of the teacher's weights, if there is a teacher.

        Raises:
            FileExistsError: if the directory has another run or other files.
        """
        if not self.recipe.is_file():
            self.create(self.path)
            self.write_recipe(recipe, class_names, teacher)
            return
        before, names_before = self.read_recipe()
        # Through JSON, which has no tuples.
        old, new = (
            json.loads(json.dumps(dataclasses.asdict(r))) for r in (before, recipe)
        )
        changes = {k: f"{k} ({old[k]!r} → {new[k]!r})" for k in new if old[k] != new[k]}
        if names_before != list(class_names):
            changes["class_names"] = "the classes"
        if self._read_teacher() != teacher:
            changes["weights of the teacher"] = "the teacher's weights"
        if not changes:
            return
        fixed = [text for name, text in changes.items() if name not in CHANGEABLE]
        if fixed and self.has_checkpoint():
            raise FileExistsError(
                f"{self.path} has a run of another recipe; it differs in "
                f"{', '.join(fixed)}. Choose another directory with --out, or "
                f"resume that run: --recipe {self.recipe} --out {self.path}."
            )
        logger.warning(
            "The recipe of %s changes: %s.", self.path, ", ".join(changes.values())
        )
        self.write_recipe(recipe, class_names, teacher)

    def has_checkpoint(self) -> bool:
        """Return whether there is a checkpoint, intact or damaged, or a model."""
        return self.model.exists() or bool(Checkpoints(self.checkpoints).paths())

    def write_recipe(
        self, recipe: Recipe, class_names: Sequence[str], teacher: str | None = None
    ) -> None:
        """Write the recipe, the names of the classes, the versions and the command."""
        record = {
            "recipe": dataclasses.asdict(recipe),
            "class_names": list(class_names),
            "teacher_sha256": teacher,
            "command": sys.argv,
            "revision": _revision(),
            "versions": {
                "python": platform.python_version(),
                "keras": keras.__version__,
                "keras_tnt": __version__,
                "tensorflow": tf.__version__,
            },
        }
        write_json(record, self.recipe)

    def read_recipe(self) -> tuple[Recipe, list[str]]:
        """Read the recipe and the class names of the run.

        Returns:
            A pair: the `Recipe` and the names of the classes.

        Raises:
            FileNotFoundError: if this is not a run directory.
            ValueError: if the file is damaged.
        """
        if not self.recipe.is_file():
            raise FileNotFoundError(
                f"{self.path} is not a run directory: it has no {self.recipe.name}."
            )
        return self.read_recipe_file(self.recipe)

    def _read_teacher(self):
        """The checksum of the teacher's weights, if the run has a teacher."""
        record = json.loads(self.recipe.read_text(encoding="utf-8"))
        return record.get("teacher_sha256")

    @staticmethod
    def read_recipe_file(path: Path) -> tuple[Recipe, list[str]]:
        """Read any `recipe.json`; see `read_recipe`."""
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            return Recipe.from_dict(record["recipe"]), record["class_names"]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} is damaged: {str(error).rstrip('.')}.") from error


def _revision():
    """The git revision of the current directory, if it is in a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
