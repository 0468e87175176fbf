"""Less memory for the same gradients: a block computed again in the backward pass."""

from collections.abc import Callable

import keras

from keras_tnt.utils.typing import Tensor


def rematerialize(
    layer: keras.layers.Layer, compute: Callable[..., Tensor], *inputs: Tensor
) -> Tensor:
    """Calls a part of a layer so that its intermediate results are not kept.

    The gradient recomputes them from the inputs. `keras.remat` does that for a pure
    function of positional arguments; this makes one of ``compute``: the weights become
    arguments, and the random seeds are drawn here, once, so that dropout masks are the
    same in both passes, and the same as without rematerialization.

    Args:
        layer: the layer whose sublayers ``compute`` calls, built. ``compute`` must not
            use weights that are not the layer's, and none but through sublayers:
            these cast them to the layer's dtype in either pass.
        compute: function of tensors that returns a tensor or a tuple of tensors. Of a
            tuple, the first must reach the loss: in a graph, its gradient is what the
            recomputation waits for.
        *inputs: floating-point tensors, given to ``compute``.

    Returns:
        ``compute(*inputs)``.

    Example:
        >>> import keras
        >>> from keras_tnt.layers.rematerialization import rematerialize
        >>> dense = keras.layers.Dense(4)
        >>> x = keras.ops.ones((2, 3))
        >>> dense.build(x.shape)
        >>> rematerialize(dense, dense, x).shape
        TensorShape([2, 4])
    """
    trained = layer.trainable_weights
    fixed = [(weight, weight.value) for weight in layer.non_trainable_weights]
    # A scope holds what `next` will read, so that it gives the same seed again.
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
