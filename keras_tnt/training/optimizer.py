"""AdamW as the paper uses it, and its learning rate."""

import keras


@keras.saving.register_keras_serializable(package="keras_tnt")
class AdamW(keras.optimizers.AdamW):
    """AdamW that decays matrices and convolution kernels only.

    Biases, norms, positions and the class token do not decay (paper, Table 1). Keras's
    own `exclude_from_weight_decay` is forgotten when a model is saved; this optimizer
    finds the variables anew each time it is built.

    Args:
        **arguments: those of `keras.optimizers.AdamW`.

    Example:
        >>> from keras_tnt.training import AdamW
        >>> AdamW(learning_rate=1e-3, weight_decay=0.05).weight_decay
        0.05
    """

    def build(self, variables):
        """Creates the optimizer's state for the variables of a model."""
        if not self.built:
            self.exclude_from_weight_decay(
                [variable for variable in variables if variable.name != "kernel"]
            )
        super().build(variables)


def warmup_cosine(peak, final, warmup_steps, total_steps):
    """Linear warm-up, then a cosine down to the final learning rate.

    Args:
        peak: learning rate at the end of the warm-up.
        final: learning rate at the end.
        warmup_steps: steps of the warm-up.
        total_steps: steps altogether, the warm-up's included.

    Returns:
        A `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: if the warm-up leaves no step for the cosine.

    Example:
        >>> from keras_tnt.training.optimizer import warmup_cosine
        >>> schedule = warmup_cosine(1e-3, 1e-5, warmup_steps=10, total_steps=100)
        >>> [round(float(schedule(step)), 5) for step in (0, 10, 100)]
        [0.0, 0.001, 1e-05]
    """
    if total_steps <= warmup_steps:
        raise ValueError(
            f"The warm-up of {warmup_steps} steps must be shorter than the training of "
            f"{total_steps}. Train for more epochs or warm up for fewer."
        )
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        total_steps - warmup_steps,
        alpha=final / peak,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )
