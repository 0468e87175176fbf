"""`keras-tnt train`."""

import argparse
import dataclasses
import importlib.util
from pathlib import Path

from keras_tnt import distribute
from keras_tnt.cli.options import add_field_options, given_fields
from keras_tnt.data import Augmentation
from keras_tnt.training import RunDirectory, train
from keras_tnt.training.recipe import Recipe
from keras_tnt.training.recipes import RECIPES
from keras_tnt.visualization.plot_results import plot_training_curves

# What --task alone stands for.
TASK_RECIPES = {
    "segmentation": "tnt_small_segmentation",
    "detection": "tnt_small_detection",
}


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    train = commands.add_parser(
        "train",
        help="train or fine-tune a model, or resume a training",
        description="Train a model with a recipe. The same command again resumes "
        "the training.",
        usage="keras-tnt train (--recipe RECIPE | --task TASK) [--out OUT] "
        "[--strategy STRATEGY] [--FIELD VALUE ...]",
    )
    train.add_argument(
        "--recipe",
        help=f"{', '.join(RECIPES)}, or the recipe.json of a run; needed unless --task "
        f"is {' or '.join(TASK_RECIPES)}",
    )
    train.add_argument(
        "--out",
        help="run directory; by default runs/RECIPE, or RUN-repeat for a recipe.json",
    )
    train.add_argument(
        "--strategy", default="auto", help="devices, all by default; see docs"
    )
    add_field_options(train, Recipe, "fields of the recipe")
    add_field_options(train, Augmentation, "fields of the recipe's augmentation")
    train.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    name = options.recipe or recipe_of_task(given_fields(options).get("task"))
    recipe = override(read_recipe(name), options)
    directory = options.out or _default_directory(name)
    strategy = distribute.create_strategy(options.strategy)
    result = train(recipe, directory, strategy)
    if distribute.is_chief(strategy):
        directory = RunDirectory(directory)
        plot_history(directory)
        last = result.history[-1]
        figures = ", ".join(
            f"{key} {value:.4g}" for key, value in last.items() if key != "epoch"
        )
        print(f"\nEpoch {last['epoch']}: {figures}\n")
        for path, what in directory.contents():
            print(f"  {path!s:40} {what}")


def plot_history(run: RunDirectory) -> None:
    """Plot the history of a run where matplotlib is installed, else say how to."""
    if importlib.util.find_spec("matplotlib"):
        plot_training_curves(run.history, run.curves)
    else:
        print(
            'For training curves, run: pip install matplotlib; python -c "from '
            "keras_tnt.visualization import plot_training_curves; "
            f"plot_training_curves('{run.history}', '{run.curves}')\""
        )


def recipe_of_task(task: str | None) -> str:
    """Return the name of the recipe of a task, for a command without ``--recipe``."""
    if task not in TASK_RECIPES:
        raise ValueError(
            f"There is no --recipe. Expected {', '.join(RECIPES)}, or the recipe.json "
            f"of a run; or --task {' or --task '.join(TASK_RECIPES)}."
        )
    return TASK_RECIPES[task]


def _default_directory(name):
    if name in RECIPES:
        return Path("runs", name)
    run = Path(name).resolve().parent
    return run.with_name(f"{run.name}-repeat")


def read_recipe(source: str) -> Recipe:
    """Return the recipe of a name or file."""
    if source in RECIPES:
        return RECIPES[source]()
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(
            f"Unknown recipe {source!r}. Expected {', '.join(RECIPES)}, or the "
            "recipe.json of a run."
        )
    return RunDirectory.read_recipe_file(path)[0]


def override(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """Return the recipe with the fields given on the command line."""
    given = given_fields(options)
    record = dataclasses.asdict(recipe)
    for name, value in given.items():
        part = record if name in record else record["augmentation"]
        part[name] = value
    return Recipe.from_dict(record)
