"""Faults that `keras_tnt.compat.sublayer_state` works around."""

import keras
import pytest

from keras_tnt.compat.sublayer_state import policy_of


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
def test_sublayer_states__of_quantized_still_needed(layer):
    layer.dense.quantize("int8")
    assert rebuilt(layer).dense.quantization_mode is None, (
        "Keras restores the policies of sublayers: "
        'remove "dtype" from keras_tnt.compat.sublayer_state'
    )


def test_sublayer_states__of_frozen_still_needed(layer):
    layer.dense.trainable = False
    assert rebuilt(layer).dense.trainable, (
        "Keras restores which sublayers are frozen: "
        'remove "trainable" from keras_tnt.compat.sublayer_state'
    )


def test_policy_of__layer_with_a_map():
    policies = {"outer/dense": keras.dtype_policies.DTypePolicy("bfloat16")}
    policy = keras.dtype_policies.DTypePolicyMap("float32", policies)
    layer = Outer(name="outer", dtype=policy)
    assert policy_of(layer.dense).name == "float32"  # no path before `build`
    layer.build((None, 4))
    assert policy_of(layer).name == "float32"
    assert policy_of(layer.dense).name == "bfloat16"
