"""Sizes in calls as exporters need them: of six axes at most, and of any type."""

import pytest
import tensorflow as tf

from keras_tnt.layers.layer_norm import decomposed_layer_norm
from tests.helpers.graphs import traced
from tests.helpers.small import build_pyramid_tnt, build_tnt

MODELS = {
    "tnt": lambda: build_tnt(se_ratio=0.25, qkv_bias=True, inner_blocks=(1,)),
    "pyramid": build_pyramid_tnt,
    "odd pyramid": lambda: build_pyramid_tnt(input_shape=(40, 72, 3)),
}
every_model = pytest.mark.parametrize(
    "kind", ["tnt", pytest.param("pyramid", marks=pytest.mark.slow), "odd pyramid"]
)
MOST_AXES = 6  # that LiteRT transposes


@every_model
def test_models__transpose_six_axes_at_most(kind):
    model = MODELS[kind]()

    def predict(images):
        with decomposed_layer_norm():
            return model(images, training=False)

    function = traced(predict, (None, *model.input_shape[1:]))
    operations = function.get_concrete_function().graph.get_operations()
    assert "Transpose" in {operation.type for operation in operations}
    ranks = {
        operation.name: tensor.shape.rank
        for operation in operations
        for tensor in (*operation.inputs, *operation.outputs)
        if tensor.shape.rank is not None and tensor.shape.rank > MOST_AXES
    }
    assert not ranks


def _refuse(self, *args):
    raise TypeError("a traced size cannot be converted to a Python number")


class TracedFloat(float):
    """A power of a traced size."""

    __ceil__ = __floor__ = __int__ = __round__ = __trunc__ = _refuse


class TracedSize(int):
    """A size as PyTorch's exporters trace it: a tensor, with its arithmetic alone."""

    __ceil__ = __float__ = __floor__ = __round__ = __trunc__ = _refuse

    def __pow__(self, other):
        return TracedFloat(int(self) ** other)

    def __truediv__(self, other):
        return TracedFloat(int(self) / other)


def test_traced_size__refuses_python_functions():
    for function in (round, float, lambda size: round(size**0.5)):
        with pytest.raises(TypeError, match="a traced size"):
            function(TracedSize(16))
    assert TracedSize(16) // 4 == 4


@every_model
def test_models__call_no_python_function_of_sizes(kind, monkeypatch):
    plain = tf.TensorShape.__iter__

    def traced_sizes(shape):
        return (TracedSize(n) if isinstance(n, int) else n for n in plain(shape))

    model = MODELS[kind]()
    monkeypatch.setattr(tf.TensorShape, "__iter__", traced_sizes)
    assert any(isinstance(size, TracedSize) for size in tf.TensorShape([None, 2]))
    for layer in model.layers:  # Keras's own checks of a call need plain sizes
        if layer.__module__.startswith("keras_tnt"):
            inputs = layer.input if isinstance(layer.input, list) else [layer.input]
            shapes = [tensor.shape for tensor in inputs]
            function = traced(layer.call, *[(None, *shape[1:]) for shape in shapes])
            function.get_concrete_function()
