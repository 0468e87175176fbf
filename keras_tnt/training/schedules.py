"""Learning rates: by step, and by epoch as in the published training."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_tnt.utils.typing import Tensor


def warmup_cosine(
    peak: float, final: float, warmup_steps: int, total_steps: int, start: float = 0.0
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a schedule of linear warm-up and a cosine to the final learning rate.

    Args:
        peak: learning rate at the end of the warm-up.
        final: learning rate at the end.
        warmup_steps: steps of the warm-up.
        total_steps: steps of warm-up and cosine; later ones have the final rate.
        start: learning rate at the beginning of the warm-up.

    Returns:
        A `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: if the warm-up leaves no step for the cosine, or ``peak`` is not
            positive.

    Example:
        >>> from keras_tnt.training.schedules import warmup_cosine
        >>> schedule = warmup_cosine(1e-3, 1e-5, warmup_steps=10, total_steps=100)
        >>> [round(float(schedule(step)), 5) for step in (0, 10, 100)]
        [0.0, 0.001, 1e-05]
    """
    if not peak > 0:
        raise ValueError(f"The learning rate must be more than 0, got {peak}.")
    if total_steps <= warmup_steps:
        raise ValueError(
            f"The warm-up of {warmup_steps} steps must be shorter than the "
            f"{total_steps} steps of the training. Train for more epochs, or shorten "
            "the warm-up."
        )
    return keras.optimizers.schedules.CosineDecay(
        start,
        total_steps - warmup_steps,
        alpha=final / peak,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )


@keras.saving.register_keras_serializable(package="keras_tnt")
class RatePerEpoch(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that is constant within each epoch.

    Args:
        rates: the rate of each epoch; that of the last one holds beyond it.
        steps_per_epoch: number of steps of an epoch.

    Example:
        >>> from keras_tnt.training.schedules import RatePerEpoch
        >>> schedule = RatePerEpoch([0.5, 0.25], steps_per_epoch=10)
        >>> [float(schedule(step)) for step in (0, 9, 10, 30)]
        [0.5, 0.5, 0.25, 0.25]
    """

    def __init__(self, rates: Sequence[float], steps_per_epoch: int):
        self.rates = list(rates)
        self.steps_per_epoch = steps_per_epoch

    def __call__(self, step: Tensor) -> Tensor:
        epoch = keras.ops.cast(step, "int32") // self.steps_per_epoch
        epoch = keras.ops.minimum(epoch, len(self.rates) - 1)
        rates = keras.ops.convert_to_tensor(self.rates, "float32")
        return keras.ops.take(rates, epoch)

    def get_config(self) -> dict[str, Any]:
        return {"rates": self.rates, "steps_per_epoch": self.steps_per_epoch}


def published_rates(
    peak: float,
    final: float,
    warmup_epochs: int,
    cosine_epochs: int,
    cooldown_epochs: int = 0,
    start: float = 0.0,
) -> list[float]:
    """Return the learning rate of each epoch, as the published training sets it.

    Epoch t, counted from 0, has

    - ``start + t / warmup_epochs · (peak - start)`` in the warm-up,
    - ``final + (peak - final) · (1 + cos(π · t / cosine_epochs)) / 2`` up to
      ``cosine_epochs``; the warm-up is not taken off t,
    - ``final`` in the cool-down.

    Args:
        peak: learning rate at which the warm-up aims.
        final: the lowest learning rate.
        warmup_epochs: epochs of the warm-up, of `cosine_epochs` the first.
        cosine_epochs: epochs of warm-up and cosine together.
        cooldown_epochs: epochs after these.
        start: learning rate of the first epoch, if there is a warm-up.

    Returns:
        A list of `cosine_epochs` + `cooldown_epochs` floats.

    Example:
        >>> from keras_tnt.training.schedules import published_rates
        >>> rates = published_rates(1e-3, 1e-5, 5, 300, cooldown_epochs=10, start=1e-6)
        >>> len(rates), rates[0], rates[309]
        (310, 1e-06, 1e-05)
    """

    def rate(epoch):
        if epoch < warmup_epochs:
            return start + epoch / warmup_epochs * (peak - start)
        cosine = math.cos(math.pi * epoch / cosine_epochs)
        return final + (peak - final) * (1 + cosine) / 2

    return [rate(epoch) for epoch in range(cosine_epochs)] + [final] * cooldown_epochs
