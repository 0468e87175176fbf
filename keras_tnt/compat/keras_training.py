"""Training and evaluation with Keras's own loop."""

import re
from typing import Any

import keras
from keras.src.backend.common.symbolic_scope import in_symbolic_scope

from keras_tnt.utils.backend import uses_jax, uses_tensorflow


def build_optimizer(model: keras.Model) -> None:
    """Create the optimizer's variables before the first training step.

    Fault: otherwise they are created in the first trace of the training step, and the
    step is traced twice. That doubles the time until the first step.
    Issue: no issue known.
    Seen in: Keras 3.15.1 (first and last version checked).

    Args:
        model: a compiled `keras.Model`.
    """
    model.optimizer.build(model.trainable_variables)


class MendedLoops:
    """A mixin of models, for the loops of TensorFlow's backend.

    `fit` and `train_on_batch` call `build_optimizer` first. Under a strategy, `fit` and
    `evaluate` do not read a batch to build what is built.

    Fault of the latter: Keras makes an iterator and reads a batch, and then finds that
    there is nothing to build. For each evaluation the pipeline starts twice.
    Issue: no issue known.
    Seen in: Keras 3.15.1 (first and last version checked).
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None):
        parts = [
            *self._flatten_layers(),  # type: ignore[attr-defined]
            self._compile_metrics,  # type: ignore[attr-defined]
            self._compile_loss,  # type: ignore[attr-defined]
        ]
        if not all(part is None or part.built for part in parts):
            super()._maybe_symbolic_build(iterator, data_batch)  # type: ignore[misc]

    def make_train_function(self, force: bool = False) -> Any:
        optimizer = getattr(self, "optimizer", None)
        if uses_tensorflow() and optimizer is not None and not optimizer.built:
            with self.distribute_strategy.scope():  # type: ignore[attr-defined]
                build_optimizer(self)  # type: ignore[arg-type]
        return super().make_train_function(force)  # type: ignore[misc]


def update_variables(model: keras.Model) -> None:
    """Give a model's variables their current values, within `fit` and `evaluate`.

    Fault: on JAX, Keras keeps the values elsewhere until the end of an epoch or an
    evaluation. Only the attribute `model` of a callback brings them up to date. What
    reads a variable otherwise fails, and what it assigns is lost.
    Issue: no issue known.
    Seen in: Keras 3.15.1 (first and last version checked).

    Args:
        model: a `keras.Model`, on any backend.
    """
    if uses_jax():
        model.jax_state_sync()


def output_logits(scores: Any) -> Any:
    """Return the logits behind a softmax or sigmoid, as Keras's losses find them.

    Fault: a loss gets what a model returns. Keras hands its own losses the logits in a
    private attribute, which no public function reads. With a `tf.distribute` strategy,
    it first calls a loss on placeholders, which have none.
    Issue: no issue known.
    Seen in: Keras 3.15.1 (first and last version checked).

    Args:
        scores: what the activation, or a layer that ends in it, returned, unchanged.

    Returns:
        The logits; in a `keras.SymbolicScope`, where only shapes count, the argument.

    Raises:
        ValueError: if it is anything else.
    """
    logits = getattr(scores, "_keras_logits", None)
    if logits is not None:
        return logits
    if in_symbolic_scope():
        return scores
    raise ValueError(
        "The predictions are not the output of a softmax, so their logits are unknown. "
        "Expected a model that ends in a softmax."
    )


def decays(variable: keras.Variable) -> bool:
    """Return whether weight decay applies to a variable, from its name alone.

    It applies to kernels and to the relative position biases of PyramidTNT.

    Fault: `keras.optimizers.Optimizer.exclude_from_weight_decay` is not part of the
    optimizer's config. After a `.keras` file is loaded, all variables decay.
    Issue: no issue known.
    Seen in: Keras 3.15.1 (first and last version checked).

    Args:
        variable: a variable of a model, or a `tf.Variable`.
    """
    return bool(re.fullmatch(r"(.*/)?(kernel|position_bias)(:0)?", variable.name))


def loss_per_image(
    loss: float, steps: int, batch_size: int, number_of_images: int
) -> float:
    """Correct the loss that `evaluate` returns for padded batches.

    Fault: Keras divides the weighted losses by the size of the batches, not by the sum
    of the weights. Images that only pad a batch have weight 0, but are counted.
    Issue: no issue known; Keras documents the reduction "sum_over_batch_size".
    Seen in: Keras 3.15.1 (first and last version checked).

    Args:
        loss: what `evaluate` returned.
        steps: number of batches.
        batch_size: images of a batch, padding included.
        number_of_images: images of weight 1.

    Returns:
        The mean loss of the images.
    """
    return loss * steps * batch_size / number_of_images
