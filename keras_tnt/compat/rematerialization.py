"""Rematerialization: recompute a part of a layer in the backward pass."""

from collections.abc import Callable

import keras

from keras_tnt.utils.typing import Tensor


def rematerialize(
    layer: keras.layers.Layer, compute: Callable[..., Tensor], *inputs: Tensor
) -> Tensor:
    """Call a part of a layer without keeping its intermediate results.

    The gradient recomputes them from the inputs, which saves memory.

    Fault: a graph with layers from a `keras.RematScope` raises a ValueError, because
    Keras calls them with keyword arguments. `keras.remat` works for a pure function of
    positional arguments. This function makes one of ``compute``: the weights become
    arguments. It draws the random seeds once, outside. Dropout masks are then the same
    in both passes, and the same as without rematerialization.
    Issue: no issue known.
    Seen in: Keras 3.15.1 (first and last version checked).

    Args:
        layer: the layer whose sublayers ``compute`` calls, built. ``compute`` must use
            weights of this layer only, and only through sublayers, which cast them to
            the layer's dtype in both passes.
        compute: function of tensors that returns a tensor or a tuple of tensors. The
            first tensor of a tuple must contribute to the loss: in a graph, the
            recomputation waits for its gradient.
        *inputs: floating-point tensors, the arguments of ``compute``.

    Returns:
        ``compute(*inputs)``.

    Example:
        >>> import keras
        >>> from keras_tnt.compat.rematerialization import rematerialize
        >>> dense = keras.layers.Dense(4)
        >>> x = keras.ops.ones((2, 3))
        >>> dense.build(x.shape)
        >>> rematerialize(dense, dense, x).shape
        TensorShape([2, 4])
    """
    trained = layer.trainable_weights
    fixed = [(weight, weight.value) for weight in layer.non_trainable_weights]
    # The scope holds the state that `next` will read, so both passes get the same seed.
    fixed += [(generator.state, generator.next()) for generator in _generators(layer)]

    def pure(*arguments):
        values, tensors = arguments[: len(trained)], arguments[len(trained) :]
        known = [*zip(trained, values, strict=True), *fixed]
        with keras.StatelessScope(known, initialize_variables=False):
            return compute(*tensors)

    return keras.remat(pure)(*[weight.value for weight in trained], *inputs)


def _generators(layer):
    """The seed generators of the dropout layers inside a layer."""
    found = [getattr(part, "seed_generator", None) for part in layer._flatten_layers()]
    return [generator for generator in found if generator is not None]
