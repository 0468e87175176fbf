"""Training with a recipe: `model.fit`, and what makes a run survive."""

from __future__ import annotations

import sys

import keras

from keras_tnt import distribute
from keras_tnt.compat.determinism import deterministic_ops
from keras_tnt.data.error_handling import readable_errors
from keras_tnt.distribute.strategy import Strategy
from keras_tnt.training.builders import (
    Sources,
    build_model,
    check_backend,
    compile_model,
    count_steps,
)
from keras_tnt.training.compilation import (
    choose_compiled_part,
    compiled_on_replicas,
    part_with_teacher,
)
from keras_tnt.training.distillation import distilling
from keras_tnt.training.recipe import Recipe
from keras_tnt.training.run_directory import RunDirectory
from keras_tnt.training.task import task_of
from keras_tnt.training.teacher import find_teacher, logits_function
from keras_tnt.training.training_run import TrainingResult, TrainingRun
from keras_tnt.utils.memory import keep_freed_memory
from keras_tnt.utils.typing import PathLike


def train(
    recipe: Recipe,
    directory: PathLike,
    strategy: Strategy | None = None,
    verbose: int | None = None,
    teacher: keras.Model | None = None,
) -> TrainingResult:
    """Train a model with a recipe, or resume the training in a run directory.

    The run directory contains the recipe, the last checkpoints and the best one, the
    history, TensorBoard's logs (if it is installed) and, at the end, the model. The
    same call again resumes after the newest intact checkpoint, with the same images as
    without the interruption.

    Args:
        recipe: a `keras_tnt.training.Recipe`.
        directory: the run directory, new or with a run of the same recipe. What does
            not define the training, such as ``skip_corrupt``, ``remat`` or
            ``checkpoint_every``, may differ.
        strategy: a `tf.distribute.Strategy`, or on JAX a
            `keras.distribution.DataParallel` or `ModelParallel`; by default the one for
            the surroundings, see `keras_tnt.distribute.create_strategy`.
        verbose: 0 for silence, 1 for a progress bar, 2 for a line an epoch; by default
            a bar on a terminal, else lines.
        teacher: a `keras.Model` to learn from, in place of the recipe's ``teacher``: a
            classifier of images 0-255, in the order of the data set's classes, that
            returns logits or the probabilities of a softmax. It is not changed. The
            run directory keeps a checksum of its weights only, so every call that
            resumes the run needs it.

    Returns:
        A `TrainingResult`.

    Raises:
        ValueError: if the recipe or the teacher does not fit the data or the devices,
            before the first step.
        FileNotFoundError: if the data set or the teacher does not exist.
        FileExistsError: if the directory has a checkpoint of another run.
        FloatingPointError: if the loss is no longer finite. The run's model file then
            has the weights of the last checkpoint.
        OSError: if a file cannot be written. The last checkpoint is kept.
        TrainingInterrupted: after SIGTERM or SIGINT, with the state saved.

    Example:
        ```python
        import dataclasses
        from keras_tnt.training import fashion_mnist_demo, train

        recipe = dataclasses.replace(fashion_mnist_demo(), epochs=3)
        result = train(recipe, "runs/short")
        print(result.history[-1]["val_accuracy"])
        ```
    """
    keep_freed_memory()
    run = RunDirectory(directory)
    strategy = strategy or distribute.create_strategy()
    distribute.check_strategy(strategy)
    if verbose is None:
        verbose = 1 if sys.stdout.isatty() else 2
    with (
        distribute.distribution_scope(strategy),
        distribute.worker_errors(strategy),
        readable_errors(),
        deterministic_ops(recipe.deterministic),
    ):
        check_backend(recipe)
        sources = Sources.open(recipe)
        if not run.has_checkpoint():
            task_of(recipe).check(recipe, list(sources), strategy)
        class_names = sources.train.class_names
        steps_per_epoch = count_steps(recipe, sources.train, strategy)
        keras.utils.set_random_seed(recipe.seed)
        with strategy.scope():
            model = build_model(recipe, len(class_names))
            compile_model(model, recipe, steps_per_epoch)
            # After the student, whose initial weights are then those without a teacher.
            teacher = find_teacher(recipe, teacher, len(class_names))
        teacher_logits = teacher and logits_function(
            teacher, class_names, model.input_shape[1:]
        )
        if distribute.is_chief(strategy):
            run.begin(recipe, class_names, teacher and teacher.digest())
        training = TrainingRun(
            recipe, run, strategy, sources, model, steps_per_epoch, verbose
        )
        part = choose_compiled_part(recipe.jit_compile, strategy, recipe.deterministic)
        if teacher:
            part = part_with_teacher(part, teacher.model, strategy)
        with (
            distilling(model, teacher_logits, recipe),
            compiled_on_replicas(model, part),
            training.averaging(),
        ):
            return training.run()
