"""Faults that `keras_tnt.compat.keras_layers` works around, and its own cases."""

import keras
import numpy as np
import pytest

from keras_tnt.compat import keras_layers


def built(kind, *arguments):
    layer = kind(*arguments, name="layer")
    layer.build((None, 4, 4, 4) if "Conv" in kind.__name__ else (None, 4))
    return layer


def rebuilt(layer):
    """The layer as Keras makes it from its configuration and its file."""
    copy = type(layer).from_config(layer.get_config())
    copy.build_from_config(layer.get_build_config())
    return copied(layer, copy)


def copied(layer, other):
    store = {}
    layer.save_own_variables(store)
    other.load_own_variables({key: np.array(value) for key, value in store.items()})
    return other


def adapted(kind, *arguments):
    layer = built(kind, *arguments)
    layer.enable_lora(2, lora_alpha=3)
    layer.lora_kernel_b.assign(np.full(layer.lora_kernel_b.shape, 0.5))
    return layer


def test_weight_states__still_needed():
    layer = built(keras.layers.Dense, 2)
    layer.bias.trainable = False
    assert rebuilt(layer).bias.trainable, (
        "Keras restores which weights are frozen: "
        "remove WeightStates from keras_tnt.compat.keras_layers"
    )


def test_adapted_layer__still_needed():
    copy = rebuilt(adapted(keras.layers.Dense, 2))
    adapters = copy.lora_kernel_a, copy.lora_kernel_b
    assert not any(map(np.any, adapters)), (
        "Keras restores LoRA adapters: "
        "remove AdaptedLayer from keras_tnt.compat.keras_layers"
    )


def test_adapted_layer__alpha_still_needed():
    assert rebuilt(adapted(keras.layers.Dense, 2)).lora_alpha == 2, (
        "Keras restores lora_alpha: "
        "remove enable_lora from keras_tnt.compat.keras_layers"
    )


# Keras advises to quantize models, not layers.
@pytest.mark.filterwarnings("ignore")
def test_dense__order_in_float8_still_needed():
    layer = built(keras.layers.Dense, 2)
    layer.quantize("float8")
    names = [[w.name for w in each.weights] for each in (layer, rebuilt(layer))]
    assert names[0] != names[1], (
        "Keras keeps the order of the weights: "
        "remove build from keras_tnt.compat.keras_layers"
    )


@pytest.mark.parametrize(
    ("kind", "arguments"), [(keras_layers.Dense, (2,)), (keras_layers.Conv2D, (2, 3))]
)
def test_adapted_layer__is_as_before(kind, arguments):
    layer = adapted(kind, *arguments)
    copy = rebuilt(layer)
    assert copy.lora_alpha == 3
    for ours, theirs in zip(layer.weights, copy.weights, strict=True):
        assert (ours.name, ours.trainable) == (theirs.name, theirs.trainable)
        np.testing.assert_array_equal(theirs, ours)


def test_adapted_layer__file_of_another_rank_or_scale_is_merged():
    layer, x = adapted(keras_layers.Dense, 2), np.ones((1, 4), "float32")
    for rank, alpha in ((2, None), (3, 3)):
        other = built(keras_layers.Dense, 2)
        other.enable_lora(rank, alpha)
        np.testing.assert_allclose(copied(layer, other)(x), layer(x), rtol=1e-5)
    plain = built(keras_layers.Dense, 2)
    np.testing.assert_allclose(copied(layer, plain)(x), layer(x), rtol=1e-5)


def test_adapted_layer__learns_after_loading_weights_without_adapters():
    layer = built(keras_layers.Dense, 2)
    layer.enable_lora(2)
    copied(built(keras_layers.Dense, 2), layer)
    assert np.any(layer.lora_kernel_a)
    assert not np.any(layer.lora_kernel_b)


def test_weight_states__int8_kernel_of_a_frozen_layer_stays_frozen():
    layer = built(keras_layers.Dense, 2)
    layer.trainable = False
    layer.kernel.trainable = True
    copy = rebuilt(layer)
    assert copy.kernel.trainable
    copy.quantize("int8")
    assert not copy._kernel.trainable
