"""The folder that a training run leaves behind."""

import dataclasses
import json
import os
import platform
from pathlib import Path

import keras
import tensorflow as tf

from keras_tnt.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Names the files of a run.

    Attributes:
        path: the folder.

    Example:
        >>> from keras_tnt.training import fashion_mnist_demo
        >>> from keras_tnt.training.run_folder import RunFolder
        >>> run = RunFolder.create_next("my_run")
        >>> run.write_recipe(fashion_mnist_demo(), ["shirt", "shoe"])
        >>> recipe, class_names = run.read_recipe()
        >>> class_names
        ['shirt', 'shoe']
    """

    path: Path

    model = property(lambda self: self.path / "model.keras")
    saved_model = property(lambda self: self.path / "saved_model")
    history = property(lambda self: self.path / "history.csv")
    recipe = property(lambda self: self.path / "recipe.json")
    curves = property(lambda self: self.path / "curves.png")
    predictions = property(lambda self: self.path / "predictions.png")
    attention = property(lambda self: self.path / "attention.png")
    pictures = property(lambda self: self.path / "pictures")

    def contents(self):
        """Returns pairs: each file of the run, and what is in it."""
        return [
            (self.model, "the trained model"),
            (self.saved_model / "1", "the same for TensorFlow Serving"),
            (self.history, "loss and accuracy by epoch"),
            (self.recipe, "what it was trained with"),
            (self.curves, "the history as a picture"),
            (self.predictions, "pictures with true and predicted names"),
            (self.attention, "what the class token and the pixels attend to"),
            (self.pictures, "some pictures of the test set"),
        ]

    @classmethod
    def create(cls, path):
        """Makes a new folder.

        Args:
            path: the folder, which must not exist or be empty.

        Returns:
            A `RunFolder`.

        Raises:
            FileExistsError: if there is something at ``path``.
        """
        path = Path(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FileExistsError(
                f"{path} exists and is not an empty folder. Choose another folder with "
                "--out, or remove it first."
            )
        path.mkdir(parents=True, exist_ok=True)
        return cls(path)

    @classmethod
    def create_next(cls, path):
        """Makes a new folder of that name, or with the next free number after it."""
        path = Path(path)
        candidate, number = path, 1
        while candidate.exists():
            number += 1
            candidate = path.with_name(f"{path.name}-{number}")
        return cls.create(candidate)

    def write_recipe(self, recipe, class_names):
        """Writes the recipe, the names of the classes and the versions in use."""
        record = {
            "recipe": dataclasses.asdict(recipe),
            "class_names": list(class_names),
            "versions": {
                "python": platform.python_version(),
                "keras": keras.__version__,
                "tensorflow": tf.__version__,
            },
        }
        temporary = self.recipe.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps(record, indent=2) + "\n")
            os.replace(temporary, self.recipe)
        finally:
            temporary.unlink(missing_ok=True)

    def read_recipe(self):
        """Reads back what `write_recipe` wrote.

        Returns:
            A pair: the `Recipe` and the names of the classes.

        Raises:
            FileNotFoundError: if this is no folder of a run.
            ValueError: if the file is damaged.
        """
        if not self.recipe.is_file():
            raise FileNotFoundError(
                f"{self.path} is no folder of a run: it has no {self.recipe.name}."
            )
        try:
            record = json.loads(self.recipe.read_text())
            return Recipe(**record["recipe"]), record["class_names"]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{self.recipe} is damaged: {error}.") from error
