"""Exact figures of TNT-S's graphs, which must not creep up."""

import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from benchmarks.xla_program import of_executable, of_program, training_step
from keras_tnt.training import AdamW

IMAGES = tf.TensorSpec((2, 224, 224, 3), tf.float32)
MULTIPLY_ADDS = 5_216_875_008  # of an image, as `keras_tnt.complexity` counts them


@pytest.mark.slow
@pytest.mark.parametrize(
    ("drop_path_rate", "limit"),
    [pytest.param(0.0, 7_000, marks=pytest.mark.extra_large), (0.1, 8_900)],
)
def test_train_step__operations_and_variables(drop_path_rate, limit):
    model, function = training_step(AdamW(1e-3), drop_path_rate)
    assert len(model.trainable_variables) == 339
    assert len(model.optimizer.variables) == 2 * 339 + 2
    labels = tf.TensorSpec((2,), tf.int64)
    graph = function.get_concrete_function(IMAGES, labels).graph.as_graph_def()
    bodies = [node for body in graph.library.function for node in body.node_def]
    assert len(graph.node) + len(bodies) <= limit


@pytest.mark.slow
def test_train_step__xla_cost():
    """With TensorFlow 2.21: 2,694 fusions, 342 copies, 150 transposes, 5.05 GB."""
    _, function = training_step(AdamW(1e-3), jit_compile=True)
    inputs = tf.zeros(IMAGES.shape), tf.zeros((2,), tf.int64)
    stages = function.experimental_get_compiler_ir(*inputs)
    # The gradient takes twice the products of the forward pass.
    expected = pytest.approx(6 * MULTIPLY_ADDS, rel=0.05)
    assert of_program(stages(stage="hlo")) == expected
    limits = {
        "fusion": 2_970,
        "copy": 380,
        "transpose": 165,
        "dot": 474,
        "bytes": 5.6e9,
    }
    found = of_executable(stages(stage="optimized_hlo"))
    for kind, limit in limits.items():
        assert found[kind] <= limit, kind


@pytest.fixture(scope="module")
def inference():
    model = keras_tnt.TNTSmall(weights=None)
    return tf.function(lambda x: model(x, training=False), jit_compile=True)


@pytest.mark.slow
def test_inference__multiply_adds(inference):
    images = tf.constant(np.zeros(IMAGES.shape, "float32"))
    text = inference.experimental_get_compiler_ir(images)(stage="hlo")
    assert of_program(text) == 2 * MULTIPLY_ADDS


@pytest.mark.slow
def test_inference__xla_cost(inference):
    """With TensorFlow 2.21: 616 fusions, 124 copies, 97 transposes, 1.39 GB."""
    images = tf.constant(np.zeros(IMAGES.shape, "float32"))
    text = inference.experimental_get_compiler_ir(images)(stage="optimized_hlo")
    limits = {"fusion": 680, "copy": 140, "transpose": 110, "dot": 158, "bytes": 1.54e9}
    found = of_executable(text)
    for kind, limit in limits.items():
        assert found[kind] <= limit, kind
