"""Build data sets, model and optimizer from a recipe, and validate it."""

from __future__ import annotations

import math
import os
from collections.abc import Sized
from typing import Any, NamedTuple, Self

import keras

from keras_tnt import distribute, models
from keras_tnt.compat.keras_training import build_optimizer
from keras_tnt.distribute.strategy import Strategy
from keras_tnt.training.compilation import choose_compiled_part
from keras_tnt.training.device_precision import precision_of_this_machine
from keras_tnt.training.optimizer import AdamW
from keras_tnt.training.recipe import Recipe
from keras_tnt.training.schedules import RatePerEpoch, published_rates, warmup_cosine
from keras_tnt.training.task import task_of
from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.weights import enable_lora


class Sources(NamedTuple):
    """The images for training and for evaluation."""

    train: Any
    validation: Any

    @classmethod
    def open(cls, recipe: Recipe) -> Self:
        """Load the data of a recipe."""
        task = task_of(recipe)
        train, validation = (
            task.load(recipe, split)
            for split in (recipe.train_split, recipe.validation_split)
        )
        if recipe.cache:
            train, validation = train.in_memory(), validation.in_memory()
        return cls(train, validation)


def build_model(recipe: Recipe, classes: int) -> keras.Model:
    """Build the model of a recipe.

    Args:
        recipe: a `keras_tnt.training.Recipe`.
        classes: number of classes.

    Returns:
        A `keras.Model`.

    Raises:
        ValueError: if the model is unknown, or its options do not fit.

    Example:
        >>> from keras_tnt.training import fashion_mnist_demo
        >>> from keras_tnt.training.builders import build_model
        >>> build_model(fashion_mnist_demo(), 10).output_shape
        (None, 10)
    """
    if recipe.model not in models.__all__:
        raise ValueError(
            f"Unknown model {recipe.model!r}. Expected one of "
            f"{', '.join(models.__all__)}."
        )
    task = task_of(recipe)
    for name, needed in task.needed_options.items():
        given = recipe.model_options.get(name, needed)
        if given != needed:
            raise ValueError(
                f"What the task {recipe.task} trains takes pixels 0-255 and has a head "
                f"of its own: {name} must be {needed!r}, got {given!r}. Remove it from "
                "model_options."
            )
    size = recipe.image_size
    height, width = size if isinstance(size, tuple) else (size, size)
    try:
        backbone = getattr(models, recipe.model)(
            weights=recipe.weights,
            classes=classes,
            input_shape=(height, width, recipe.channels),
            remat=recipe.remat,
            dtype=dtype_policy(recipe),
            **(dict(task.needed_options) | recipe.model_options),
        )
    except TypeError as error:
        raise ValueError(
            f"model_options do not fit {recipe.model}: {error}."
        ) from error
    except ValueError as error:
        raise ValueError(f"Cannot build {recipe.model}: {error}") from error
    if recipe.lora_rank:
        enable_lora(backbone, recipe.lora_rank)
    model = task.add_head(recipe, backbone, classes)
    if recipe.frozen_backbone:
        for layer in backbone.layers:
            layer.trainable = layer.name == "predictions"
    return model


def trained_share(model: keras.Model) -> str:
    """Return a sentence on how many of a model's parameters are trained.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.training.builders import trained_share
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> keras_tnt.enable_lora(model, rank=1)
        >>> trained_share(model)
        '823 of 92,455 parameters are trained, 0.9%.'
    """
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    total = model.count_params()
    return f"{trained:,} of {total:,} parameters are trained, {trained / total:.1%}."


def compile_model(model: keras.Model, recipe: Recipe, steps_per_epoch: int) -> None:
    """Compile a model with the optimizer, schedule and metrics of a recipe.

    Args:
        model: a `keras.Model`, as `build_model` returns it.
        recipe: a `keras_tnt.training.Recipe`.
        steps_per_epoch: steps of an epoch.

    Raises:
        ValueError: if the recipe's loss does not fit the number of classes.

    Example:
        >>> from keras_tnt.training import fashion_mnist_demo
        >>> from keras_tnt.training.builders import build_model, compile_model
        >>> model = build_model(fashion_mnist_demo(), 10)
        >>> compile_model(model, fashion_mnist_demo(), steps_per_epoch=187)
        >>> model.optimizer.weight_decay
        0.05
    """
    optimizer = AdamW(
        learning_rates(recipe, steps_per_epoch),
        weight_decay=recipe.weight_decay,
        layer_decay=recipe.layer_decay,
        epsilon=1e-8,
        global_clipnorm=recipe.clip_norm,
        gradient_accumulation_steps=(
            recipe.accumulation_steps if recipe.accumulation_steps > 1 else None
        ),
    )
    part = choose_compiled_part(
        recipe.jit_compile, tf.distribute.get_strategy(), recipe.deterministic
    )
    model.compile(
        optimizer,
        jit_compile=part == "step",
        steps_per_execution=recipe.steps_per_execution,
        **task_of(recipe).compile_options(recipe, model),
    )
    build_optimizer(model)


def learning_rates(
    recipe: Recipe, steps_per_epoch: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate of a recipe by step, from 0.

    Keras counts steps here also where several batches form an update.

    Args:
        recipe: a `keras_tnt.training.Recipe`.
        steps_per_epoch: steps of an epoch.

    Example:
        >>> from keras_tnt.training import tnt_small_imagenet
        >>> from keras_tnt.training.builders import learning_rates
        >>> rates = learning_rates(tnt_small_imagenet(), steps_per_epoch=1251)
        >>> round(float(rates(150 * 1251)), 6)
        0.000505
    """
    factor = recipe.learning_rate_factor
    peak, final, start = (
        rate * factor
        for rate in (
            recipe.learning_rate,
            recipe.final_learning_rate,
            recipe.warmup_learning_rate,
        )
    )
    warmup, cooldown = recipe.warmup_epochs, recipe.cooldown_epochs
    cosine = recipe.epochs - cooldown
    if recipe.schedule == "epoch":
        rates = published_rates(peak, final, warmup, cosine, cooldown, start)
        return RatePerEpoch(rates, steps_per_epoch)
    return warmup_cosine(
        peak, final, warmup * steps_per_epoch, cosine * steps_per_epoch, start
    )


def check_backend(recipe: Recipe) -> None:
    """Check that Keras's backend can train a recipe.

    Raises:
        ValueError: if it cannot.
    """
    if uses_tensorflow():
        return
    if recipe.loss == "binary_crossentropy":
        raise ValueError(
            "loss='binary_crossentropy' needs the TensorFlow backend: on JAX, Keras "
            "does not give a loss the logits behind the softmax. Use "
            "'categorical_crossentropy'."
        )
    flags = os.environ.get("XLA_FLAGS", "")
    if (
        recipe.deterministic
        and distribute.on_accelerator()
        and not any(
            f"--xla_gpu_{name}_ops=true" in flags
            for name in ("deterministic", "exclude_nondeterministic")
        )
    ):
        raise ValueError(
            "deterministic=True needs XLA_FLAGS=--xla_gpu_deterministic_ops=true on "
            "JAX, set before Python starts."
        )


def count_steps(recipe: Recipe, source: Sized, strategy: Strategy) -> int:
    """Return the steps of an epoch, or raise if the recipe does not fit the devices.

    Raises:
        ValueError: if the batch does not fit, or an option needs a single device.
    """
    replicas = distribute.replica_count(strategy)
    batch_size = recipe.batch_size
    if batch_size % replicas:
        raise ValueError(
            f"batch_size={batch_size} counts all devices together and must be a "
            f"multiple of their number, {replicas}. Use "
            f"{max(batch_size // replicas, 1) * replicas}."
        )
    if batch_size > len(source):
        raise ValueError(
            f"batch_size={batch_size} is more than the {len(source)} images of "
            f"{recipe.train_split!r}. Use a smaller batch_size."
        )
    recipe.augmentation.group_size(batch_size)  # raises if there is none
    if replicas > 1 and uses_tensorflow():
        for name in ("accumulation_steps", "steps_per_execution"):
            if getattr(recipe, name) != 1:
                raise ValueError(
                    f"Keras does not support {name} on several devices, and there are "
                    f"{replicas}. Use 1, or train on one device with --strategy "
                    "one_device."
                )
    steps = len(source) // batch_size
    if steps % recipe.steps_per_execution:
        raise ValueError(
            f"steps_per_execution={recipe.steps_per_execution} must divide the {steps} "
            "steps of an epoch."
        )
    return steps


def dtype_policy(recipe: Recipe) -> str:
    """Return the name of the dtype policy of a recipe's layers on this machine."""
    name = recipe.precision
    if name == "auto":
        name = precision_of_this_machine()
    return name if name == "float32" else f"mixed_{name}"
