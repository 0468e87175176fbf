"""AdamW as the paper uses it, and its learning rate."""

import re

import keras

BLOCK = re.compile(r"(?:^|.*/)[^/]*block_\d+(?=/)")


@keras.saving.register_keras_serializable(package="keras_tnt")
class AdamW(keras.optimizers.Adam):
    """AdamW that decays matrices and convolution kernels only.

    A step first multiplies the variables named "kernel" by ``1 - r·weight_decay`` and
    then applies Adam, with the learning rate ``r`` of the variable. Biases, norms,
    positions and the class token do not decay (paper, Table 1). Keras's own
    `exclude_from_weight_decay` is forgotten when a model is saved; this optimizer
    goes by the variables' names.

    With `layer_decay` the learning rate shrinks from block to block towards the input,
    as is usual in fine-tuning (BEiT, arXiv 2106.08254, section 3.2): the head and the
    last norm have all of it, block l of L has ``layer_decay^(L + 1 - l)`` of it, what
    lies before the blocks ``layer_decay^(L + 1)``.

    Args:
        learning_rate: a float or a `keras.optimizers.schedules.LearningRateSchedule`.
        weight_decay: decay of the kernels.
        layer_decay: factor of the learning rate from a block to the one before, above
            0 and at most 1.
        **arguments: those of `keras.optimizers.Adam`.

    Raises:
        ValueError: if `layer_decay` is out of range.

    Example:
        >>> from keras_tnt.training import AdamW
        >>> AdamW(learning_rate=1e-3, weight_decay=0.05).kernel_decay
        0.05
    """

    def __init__(
        self, learning_rate=1e-3, weight_decay=0.05, layer_decay=1.0, **arguments
    ):
        if not 0 < layer_decay <= 1:
            raise ValueError(
                f"layer_decay must be above 0 and at most 1, got {layer_decay}."
            )
        super().__init__(learning_rate, weight_decay=None, **arguments)
        self.kernel_decay = weight_decay
        self.layer_decay = layer_decay

    def build(self, variables):
        """Creates the optimizer's state for the variables of a model."""
        if not self.built:
            self._scales = learning_rate_scales(variables, self.layer_decay)
            self._decays = [variable.name == "kernel" for variable in variables]
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        """Updates a variable."""
        index = self._get_variable_index(variable)
        rate = keras.ops.cast(learning_rate, variable.dtype) * self._scales[index]
        if self._decays[index]:
            self.assign_sub(variable, variable * (rate * self.kernel_decay))
        super().update_step(gradient, variable, rate)

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {
            "weight_decay": self.kernel_decay,
            "layer_decay": self.layer_decay,
        }


def learning_rate_scales(variables, layer_decay):
    """The share of the learning rate that each variable gets.

    Args:
        variables: a model's variables, in its order.
        layer_decay: factor from a block to the one before.

    Returns:
        A list of floats, one a variable.
    """
    blocks = [BLOCK.match(variable.path) for variable in variables]
    names = list(dict.fromkeys(match[0] for match in blocks if match))
    last = max((i for i, match in enumerate(blocks) if match), default=-1)
    # What lies between two blocks goes with the one before it.
    number, scales = 0, []
    for index, match in enumerate(blocks):
        if match:
            number = names.index(match[0]) + 1
        elif index > last:
            number = len(names) + 1
        scales.append(layer_decay ** (len(names) + 1 - number))
    return scales


def warmup_cosine(peak, final, warmup_steps, total_steps, start=0.0):
    """Linear warm-up, then a cosine down to the final learning rate.

    Args:
        peak: learning rate at the end of the warm-up.
        final: learning rate at the end.
        warmup_steps: steps of the warm-up.
        total_steps: steps altogether, the warm-up's included.
        start: learning rate at the beginning of the warm-up.

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
        start,
        total_steps - warmup_steps,
        alpha=final / peak,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )
