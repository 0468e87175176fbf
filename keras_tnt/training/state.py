"""The state of a training: everything that changes, as arrays."""

import keras
import numpy as np

from keras_tnt.compat.keras_training import update_variables
from keras_tnt.training.ema import ExponentialMovingAverage


class TrainingState:
    """The state of a training, read for a checkpoint and set from one.

    These are the model's variables with the states of its random generators, the
    optimizer's with its step and loss scale, and the moving average of the weights.

    Args:
        model: a compiled `keras.Model`, its optimizer built.
        average: a `keras_tnt.training.ema.ExponentialMovingAverage`, or ``None``.

    Example:
        >>> import keras
        >>> from keras_tnt.training.state import TrainingState
        >>> inputs = keras.Input((2,))
        >>> outputs = keras.layers.Dense(1, name="top")(inputs)
        >>> model = keras.Model(inputs, outputs)
        >>> model.compile("adam", "mse")
        >>> model.optimizer.build(model.trainable_variables)
        >>> state = TrainingState(model)
        >>> tensors = state.tensors()
        >>> state.restore(tensors)
        >>> sorted(tensors)[:2]
        ['model/0/top/kernel', 'model/1/top/bias']
    """

    def __init__(
        self, model: keras.Model, average: ExponentialMovingAverage | None = None
    ):
        # Weights go by path. Keras numbers optimizers and seed generators within a
        # process, so these go by order.
        self._model = model
        weights = {id(weight) for weight in model.weights}
        parts = {"model": model.variables, "optimizer": model.optimizer.variables}
        self._variables = {
            f"{part}/{number}/{v.path if id(v) in weights else v.name}": v
            for part, variables in parts.items()
            for number, v in enumerate(variables)
        }
        for number, variable in enumerate(average.variables if average else ()):
            self._variables[f"average/{number}"] = variable

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the state as a dict from names to arrays."""
        update_variables(self._model)
        return {name: np.asarray(v.numpy()) for name, v in self._variables.items()}

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Set the state, all or nothing.

        Args:
            tensors: what `tensors` gave.

        Raises:
            ValueError: if the names or shapes are not this training's.
        """
        expected = {name: tuple(v.shape) for name, v in self._variables.items()}
        got = {name: tensor.shape for name, tensor in tensors.items()}
        different = sorted(expected.items() ^ got.items())
        if different:
            raise ValueError(
                "The checkpoint belongs to another model or optimizer: they differ in "
                f"{len({name for name, _ in different})} variables, first "
                f"{different[0][0]!r}."
            )
        for name, variable in self._variables.items():
            variable.assign(tensors[name])


def first_not_finite(tensors: dict[str, np.ndarray]) -> str | None:
    """Return the name of the first array with a NaN or infinity, or ``None``."""
    for name, tensor in tensors.items():
        is_float = keras.backend.is_float_dtype(tensor.dtype.name)
        if is_float and not np.isfinite(tensor).all():
            return name
    return None
