"""The head of a classifier: what its output means, and the tensors behind it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras

from keras_tnt.utils.typing import Tensor

# Names of operations, which layers, functions and `keras.ops` share.
MEANINGS = {
    "softmax": "softmax",
    "sigmoid": "sigmoid",
    "logsoftmax": "linear",  # logarithms of probabilities are logits
}
UNCHANGED = {"cast", "identity", "dropout", "linear"}
SCALING = {"divide", "truedivide", "multiply", "add", "subtract", "rescaling"}
ACTIVATIONS = {name.replace("_", "").lower() for name in dir(keras.activations)}
ACTIVATIONS = ACTIVATIONS - UNCHANGED | MEANINGS.keys()


class Head(NamedTuple):
    """The end of a classifier.

    Attributes:
        activation: ``"softmax"``, ``"sigmoid"``, or ``"linear"`` if the outputs are
            logits; the name of any other activation; ``None`` if the graph does not
            tell.
        logits: Keras tensor in the graph of the model itself that the activation is
            applied to; ``None`` if there is none, as within a Dense layer.
        dense: the last Dense layer; ``None`` if the graph does not lead to one.
        dense_activates: whether the activation is that of ``dense``.
        features: Keras tensor ``(batch, dim)`` in the graph of the model itself, the
            input of ``dense``; ``None`` if that is in the graph of a nested model.
        layers: the layers from the output back to ``dense``.
    """

    activation: str | None = None
    logits: Tensor | None = None
    dense: keras.layers.Dense | None = None
    dense_activates: bool = False
    features: Tensor | None = None
    layers: tuple[keras.layers.Layer, ...] = ()


def find_head(model: keras.Model) -> Head:
    """Return the head of a classifier, as its graph tells, through nested models.

    Args:
        model: a functional model with one output ``(batch, classes)``.

    Example:
        >>> import keras, keras_tnt
        >>> from keras_tnt.structure import find_head
        >>> tnt = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, include_top=False,
        ...                     input_shape=(32, 64, 3), pooling="token")
        >>> scores = keras.layers.Dense(2, name="scores")(tnt.output)
        >>> head = find_head(keras.Model(tnt.input, keras.ops.softmax(scores)))
        >>> head.activation, head.dense.name, head.logits is scores
        ('softmax', 'scores', True)
    """
    head, is_scaled = Head(), False
    for operation, tensor, is_own in _operations_from_output(model):
        name, is_dense = _activation(operation), _is_dense(operation)
        is_activation = head.activation is None and name in ACTIVATIONS
        if is_activation:
            if is_scaled and MEANINGS.get(name) != "linear":
                return Head()  # scaled probabilities, for example
            logits = tensor if is_own and not is_dense else None
            head = head._replace(activation=MEANINGS.get(name, name), logits=logits)
        elif not is_dense and name not in UNCHANGED | SCALING:
            return head
        if isinstance(operation, keras.layers.Layer):
            head = head._replace(layers=(*head.layers, operation))
        if is_dense:
            return head._replace(
                activation=head.activation or ("linear" if name == "linear" else None),
                dense=operation,
                dense_activates=is_activation,
                features=tensor if is_own else None,
            )
        is_scaled = is_scaled or name in SCALING
    return head


def _operations_from_output(model: keras.Model) -> Iterator[tuple[Any, Tensor, bool]]:
    """Yield the last operations of a model, from its output, while they have one input.

    Each comes with its input, and with whether it is in the graph of the model itself.
    """
    (tensor,) = model.outputs
    calls: list[Any] = []  # of the nested models around the tensor
    while True:
        operation, index, output = tensor._keras_history
        call = operation._inbound_nodes[index]
        if has_graph(operation):
            calls.append(call)
            tensor = operation.outputs[output]
            continue
        if isinstance(operation, keras.layers.InputLayer) and calls:
            call = calls.pop()
        elif len(call.input_tensors) == 1:
            yield operation, call.input_tensors[0], not calls
        if len(call.input_tensors) != 1:
            return
        (tensor,) = call.input_tensors


def has_graph(model: Any) -> bool:
    """Return whether a layer is a functional or Sequential model that calls its graph.

    Args:
        model: any layer or operation. A model with a method `call` of its user's own
            has no graph, and a Sequential model has none before it is built.

    Example:
        >>> import keras
        >>> from keras_tnt.structure import has_graph
        >>> has_graph(keras.Sequential([keras.layers.Dense(2)]))
        False
    """
    is_built = bool(getattr(model, "inputs", None))
    module = f"{type(model).call.__module__}."
    return is_built and module.startswith(("keras.", "keras_tnt.models.functional."))


def _is_dense(operation):
    is_dense = isinstance(operation, keras.layers.Dense)
    return is_dense and type(operation).call is keras.layers.Dense.call


def _activation(operation):
    """The name of what an operation computes, or the activation of a layer."""
    if _is_dense(operation) or isinstance(operation, keras.layers.Activation):
        operation = operation.activation
    name = getattr(operation, "__name__", type(operation).__name__)
    name = name.replace("_", "").lower()
    axis = getattr(operation, "axis", -1)
    return name if axis in (-1, 1) else f"{name} over axis {axis}"
