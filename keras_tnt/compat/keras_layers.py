"""Keras layers whose configuration and file hold their whole state.

Faults of Keras's own layers:

- The configuration stores whether a layer is trainable, but not which of its weights
  are. After reloading, all are trained or none.
- With LoRA, the file of `Dense` and `Conv2D` holds the sum of kernel and adapters. Both
  adapters are zero after loading, so neither ever gets a gradient, and the state of the
  optimizer does not fit. `Dense` also forgets ``lora_alpha``.
- A `Dense` in float8 has its weights in another order after reloading. The state of the
  optimizer goes to the wrong ones.

Issue: no issue known.
Seen in: Keras 3.15.1 (first and last version checked).
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_tnt.utils.typing import Shape


class WeightStates(keras.layers.Layer):
    """Base class of layers whose config stores which of their own weights are trained.

    Args:
        *args: arguments of the Keras layer.
        frozen_weights: names of the frozen weights of a trainable layer.
        trained_weights: names of the trained weights of a frozen layer.
        **kwargs: arguments of the Keras layer.
    """

    def __init__(
        self,
        *args: Any,
        frozen_weights: Iterable[str] = (),
        trained_weights: Iterable[str] = (),
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        # Until `build`, the weights do not exist.
        self._weight_states = {
            "frozen_weights": list(frozen_weights),
            "trained_weights": list(trained_weights),
        }

    def add_weight(
        self, *args: Any, trainable: bool = True, **kwargs: Any
    ) -> keras.Variable:
        weight = super().add_weight(*args, trainable=trainable, **kwargs)
        if trainable and weight.name in self._weight_states["frozen_weights"]:
            weight.trainable = False
        if trainable and weight.name in self._weight_states["trained_weights"]:
            weight.trainable = True
        return weight

    def get_config(self) -> dict[str, Any]:
        states: dict[str, Any] = dict(self._weight_states)
        if self.built:
            others = [
                weight.name
                for weight in self._trainable_variables
                if weight.trainable != self.trainable
            ]
            states = {"frozen_weights" if self.trainable else "trained_weights": others}
        return super().get_config() | {
            key: list(names) for key, names in states.items() if names
        }


class AdaptedLayer(WeightStates):
    """Base class of layers whose file has kernel and LoRA adapters apart too."""

    def enable_lora(
        self, rank: int, lora_alpha: float | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Adapt the kernel, as in Keras, with the scale of the constructor."""
        alpha = self.lora_alpha if lora_alpha is None else lora_alpha
        super().enable_lora(rank, alpha, *args, **kwargs)

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)  # by number, the adapters merged
        if self.lora_enabled:
            store["lora_alpha"] = np.asarray(self.lora_alpha)
            for weight in self.weights:
                store[weight.name] = weight

    def load_own_variables(self, store: Any) -> None:
        adapter = np.array(self.lora_kernel_a) if self.lora_enabled else None
        merged = {key: store[key] for key in store.keys() if key.isdigit()}  # noqa: SIM118 (Keras's stores)
        super().load_own_variables(merged)
        if adapter is None:
            return
        if self._has_adapters(store):
            for weight in self.weights:
                weight.assign(store[weight.name])
        else:  # not zero, as the other adapter, or neither would get a gradient
            self.lora_kernel_a.assign(adapter)

    def _has_adapters(self, store):
        return (
            "lora_alpha" in store
            and np.asarray(store["lora_alpha"]) == self.lora_alpha
            and store["lora_kernel_a"].shape == self.lora_kernel_a.shape
        )


@keras.saving.register_keras_serializable(package="keras_tnt")
class Dense(AdaptedLayer, keras.layers.Dense):
    """`keras.layers.Dense`, saved with its whole state."""

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        # As after `quantize`: what float8 adds comes last.
        self._trainable_variables.sort(key=lambda v: v.overwrite_with_gradient)

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: Any = None
    ) -> None:
        """Quantize as Keras does, which otherwise refuses subclasses."""
        super().quantize(mode, type_check=False, config=config)


@keras.saving.register_keras_serializable(package="keras_tnt")
class Conv2D(AdaptedLayer, keras.layers.Conv2D):
    """`keras.layers.Conv2D`, saved with its whole state."""


@keras.saving.register_keras_serializable(package="keras_tnt")
class BatchNormalization(WeightStates, keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, saved with its whole state."""
