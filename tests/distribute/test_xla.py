"""What TPUs ask for, tried on the CPU: a training step that XLA compiles whole."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt import distribute
from keras_tnt.training import AdamW
from tests.helpers.small import pixels, small


def compiled(model, jit_compile):
    model.compile(
        AdamW(1e-3, weight_decay=0.05),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        weighted_metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    return model


def batches(model, batch=2):
    """An endless dataset of one batch, as one device gets it."""
    labels = np.eye(model.output_shape[-1], dtype="float32")[:batch]
    dataset = tf.data.Dataset.from_tensors((pixels(model, batch), labels))
    return distribute.distribute_dataset(
        tf.distribute.OneDeviceStrategy("/cpu:0"), lambda *place: dataset
    )


def fit(model):
    history = model.fit(
        batches(model), steps_per_epoch=2, epochs=2, shuffle=False, verbose=0
    )
    return history.history["loss"]


@pytest.mark.slow
def test_train_step__xla_equals_plain():
    plain, xla = (
        compiled(small(depth=1, drop_path_rate=0), jit) for jit in (False, True)
    )
    before = [weight.numpy() for weight in plain.weights]
    np.testing.assert_allclose(fit(xla), fit(plain), atol=1e-5)
    for ours, theirs, old in zip(xla.weights, plain.weights, before, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, err_msg=ours.path)
        assert np.abs(theirs - old).max() > 0, f"{ours.path} is not trained"


@pytest.mark.slow
def test_train_step__static_shapes():
    model = compiled(small(depth=2, drop_path_rate=0.1), jit_compile=False)
    spec = batches(model).element_spec
    assert all(part.shape.is_fully_defined() for part in spec)
    step = tf.function(model.train_step).get_concrete_function(spec)
    dynamic = {
        operation.name
        for operation in step.graph.get_operations()
        if operation.type != "BroadcastGradientArgs"  # axes, which XLA computes early
        and not all(output.shape.is_fully_defined() for output in operation.outputs)
    }
    assert not dynamic


@pytest.mark.extra_large
def test_train_step__tnt_small_compiles():
    model = compiled(keras_tnt.TNTSmall(weights=None), jit_compile=True)
    first, second = fit(model)
    assert np.isfinite(first)
    assert second < first
