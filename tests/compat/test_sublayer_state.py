"""Faults that `keras_tnt.compat.sublayer_state` works around."""

import keras
import pytest


class Outer(keras.layers.Layer):
    """A layer with a sublayer, as Keras's guides write it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2, name="dense", dtype=self.dtype_policy)

    def build(self, input_shape):
        self.dense.build(input_shape)


def rebuilt(layer):
    """The layer as Keras makes it from its configuration."""
    copy = Outer.from_config(layer.get_config())
    copy.build_from_config(layer.get_build_config())
    return copy


@pytest.fixture
def layer():
    layer = Outer(name="outer")
    layer.build((None, 4))
    return layer


# Keras advises to quantize models, not layers.
@pytest.mark.filterwarnings("ignore")
def test_policy_with_quantized_sublayers__still_present(layer):
    layer.dense.quantize("int8")
    assert rebuilt(layer).dense.quantization_mode is None, (
        "Keras restores the policies of sublayers: "
        "remove keras_tnt.compat.sublayer_state.policy_with_quantized_sublayers"
    )


def test_frozen_sublayers__still_present(layer):
    layer.dense.trainable = False
    assert rebuilt(layer).dense.trainable, (
        "Keras restores which sublayers are frozen: "
        "remove keras_tnt.compat.sublayer_state.frozen_sublayers"
    )
