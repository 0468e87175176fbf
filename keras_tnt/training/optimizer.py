"""AdamW as the paper uses it."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from keras_tnt.compat.keras_training import decays
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Tensor

BLOCK = re.compile(r"(?:^|.*/)[^/]*block_\d+(?=/)")


@keras.saving.register_keras_serializable(package="keras_tnt")
class AdamW(keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` that decays what the published training decays.

    A step first multiplies the kernels of dense layers and convolutions, and the
    relative position biases of PyramidTNT, by ``1 - r·weight_decay``, with the learning
    rate ``r`` of the variable. They are told by the names "kernel" and "position_bias".
    Then it applies Adam. Other biases, norms, position embeddings and the class token
    do not decay, nor do the variables that `exclude_from_weight_decay` excludes. Unlike
    Keras's optimizers, this one keeps the excluded variables, by their paths, when a
    model is saved.

    On TensorFlow a float32 variable is updated by one fused operation: a training step
    of TNT-S has half as many operations as with `keras.optimizers.AdamW`.

    With `layer_decay` the learning rate decreases from block to block towards the
    input, for fine-tuning (BEiT, arXiv 2106.08254, section 3.2). The learning rate of
    block l of L is scaled by ``layer_decay^(L + 1 - l)``, that of the layers before the
    blocks by ``layer_decay^(L + 1)``. The head and the final norm are not scaled.

    Args:
        learning_rate: a float or a `keras.optimizers.schedules.LearningRateSchedule`.
        weight_decay: the decay, also an attribute that can be set.
        *arguments: the other arguments of `keras.optimizers.AdamW`, in its order.
        layer_decay: factor of the learning rate from a block to the previous one, above
            0 and at most 1.
        **options: the other arguments of `keras.optimizers.AdamW`, by name.

    Raises:
        ValueError: if `layer_decay` is out of range, or Keras refuses an argument.

    Example:
        >>> from keras_tnt.training import AdamW
        >>> optimizer = AdamW(learning_rate=1e-3, weight_decay=0.05)
        >>> optimizer.exclude_from_weight_decay(var_names=["kernel"])
        >>> optimizer.weight_decay
        0.05
    """

    # Paths of variables and patterns of names, as in `exclude_from_weight_decay`.
    _excluded_paths: tuple[str, ...] = ()
    _excluded_names: tuple[str, ...] = ()

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        weight_decay: float = 0.05,
        *arguments: Any,
        layer_decay: float = 1.0,
        **options: Any,
    ):
        if not 0 < layer_decay <= 1:
            raise ValueError(
                f"layer_decay must be above 0 and at most 1, got {layer_decay}."
            )
        super().__init__(learning_rate, weight_decay, *arguments, **options)
        self.layer_decay = layer_decay

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if not self.built:
            self._scales = learning_rate_scales(variables, self.layer_decay)
        super().build(variables)

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[keras.Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Exclude variables from weight decay, before the optimizer is built.

        Args:
            var_list: the variables to exclude.
            var_names: regular expressions; a variable is excluded if one matches a part
                of its name or path.

        Raises:
            ValueError: if either is a single variable or string.
        """
        variables = [] if var_list is None else as_list("var_list", var_list)
        names = () if var_names is None else tuple(as_list("var_names", var_names))
        super().exclude_from_weight_decay(variables, names)
        self._excluded_paths = tuple(map(_path, variables))
        self._excluded_names = names

    def apply(
        self,
        grads: Sequence[Tensor],
        trainable_variables: Sequence[keras.Variable] | None = None,
    ) -> None:
        # Values that are equal for all variables are computed once.
        step = keras.ops.cast(self.iterations + 1, "float32")
        betas = [keras.ops.convert_to_tensor(b) for b in (self.beta_1, self.beta_2)]
        self._constants = {
            "beta1_power": keras.ops.power(betas[0], step),
            "beta2_power": keras.ops.power(betas[1], step),
            "beta1": betas[0],
            "beta2": betas[1],
            "epsilon": keras.ops.convert_to_tensor(self.epsilon, "float32"),
        }
        super().apply(grads, trainable_variables)

    def _apply_weight_decay(self, variables):
        """Do nothing: `update_step` decays, by the learning rate of the variable."""

    def update_step(
        self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor
    ) -> None:
        index = self._get_variable_index(variable)
        rate = keras.ops.cast(learning_rate, variable.dtype)
        if self._scales[index] != 1:
            rate = rate * self._scales[index]
        if self._decays(self._trainable_variables[index]):
            share = rate * keras.ops.cast(self.weight_decay, variable.dtype)
            self.assign_sub(variable, variable * share)
        if not self._is_fused(gradient, variable):
            super().update_step(gradient, variable, rate)
            return
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            lr=rate,
            grad=tf.cast(gradient, "float32"),
            **self._constants,
        )

    def _decays(self, variable):
        path = _path(variable)
        return (
            self.weight_decay is not None
            and decays(variable)
            and self._use_weight_decay(variable)
            and path not in self._excluded_paths
            and not any(re.search(name, path) for name in self._excluded_names)
        )

    def _is_fused(self, gradient, variable):
        # Of embeddings, whose gradients are sparse, Keras updates the rows in use only.
        return (
            uses_tensorflow()
            and not self.amsgrad
            and variable.dtype == "float32"
            and not isinstance(gradient, tf.IndexedSlices)
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {"layer_decay": self.layer_decay}
        if self._excluded_paths or self._excluded_names:
            config["excluded_paths"] = list(self._excluded_paths)
            config["excluded_names"] = list(self._excluded_names)
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "AdamW":
        config = dict(config)
        paths = config.pop("excluded_paths", ())
        names = config.pop("excluded_names", ())
        optimizer = super().from_config(config, custom_objects)
        optimizer.exclude_from_weight_decay(var_names=names)
        optimizer._excluded_paths = tuple(paths)
        return optimizer


def _path(variable):
    """The path of a variable of a model, or the name of a `tf.Variable`."""
    return getattr(variable, "path", variable.name)


def learning_rate_scales(
    variables: Sequence[keras.Variable], layer_decay: float
) -> list[float]:
    """Return the scale of the learning rate of each variable.

    Args:
        variables: a model's variables, in its order.
        layer_decay: factor from a block to the previous one.

    Returns:
        A list of floats, one for each variable.
    """
    blocks = [BLOCK.match(_path(variable)) for variable in variables]
    names = list(dict.fromkeys(match[0] for match in blocks if match))
    last = max((i for i, match in enumerate(blocks) if match), default=-1)
    # Layers between two blocks belong to the first of them.
    number, scales = 0, []
    for index, match in enumerate(blocks):
        if match:
            number = names.index(match[0]) + 1
        elif index > last:
            number = len(names) + 1
        scales.append(layer_decay ** (len(names) + 1 - number))
    return scales
