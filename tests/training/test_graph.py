"""Exact figures of compiled programs and graphs, which must not creep up."""

import collections
import re

import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from benchmarks.xla_program import of_executable, of_program, training_step
from keras_tnt.compat.keras_training import build_optimizer
from keras_tnt.training import AdamW
from tests.helpers.small import small

IMAGES = tf.TensorSpec((2, 224, 224, 3), tf.float32)
# Of an image, as `keras_tnt.complexity` counts them, but for those of the other tokens
# after the last block's keys and values.
MULTIPLY_ADDS = 5_216_875_008 - 196 * (2 * 197 * 384 + 9 * 384 * 384)


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
    """With TensorFlow 2.21: 2,604 fusions, 439 copies, 150 transposes, 4.92 GB."""
    _, function = training_step(AdamW(1e-3), jit_compile=True)
    inputs = tf.zeros(IMAGES.shape), tf.zeros((2,), tf.int64)
    stages = function.experimental_get_compiler_ir(*inputs)
    # The gradient takes twice the products of the forward pass.
    expected = pytest.approx(6 * MULTIPLY_ADDS, rel=0.05)
    assert of_program(stages(stage="hlo")) == expected
    limits = {
        "fusion": 2_870,
        "copy": 480,
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


def test_inference__traced_operations():
    """With TensorFlow 2.21: 3,240. Tracing them is a part of the time to start."""
    model = keras_tnt.TNTSmall(weights=None)
    function = tf.function(lambda x: model(x, training=False))
    images = tf.TensorSpec((None, *IMAGES.shape[1:]), tf.float32)
    operations = function.get_concrete_function(images).graph.get_operations()
    assert len(operations) <= 3_300


@pytest.mark.slow
def test_inference__multiply_adds(inference):
    images = tf.constant(np.zeros(IMAGES.shape, "float32"))
    text = inference.experimental_get_compiler_ir(images)(stage="hlo")
    assert of_program(text) == 2 * MULTIPLY_ADDS


@pytest.mark.slow
def test_inference__xla_cost(inference):
    """With TensorFlow 2.21: 593 fusions, 96 copies, 96 transposes, 1.35 GB."""
    images = tf.constant(np.zeros(IMAGES.shape, "float32"))
    text = inference.experimental_get_compiler_ir(images)(stage="optimized_hlo")
    limits = {"fusion": 650, "copy": 107, "transpose": 107, "dot": 158, "bytes": 1.53e9}
    found = of_executable(text)
    for kind, limit in limits.items():
        assert found[kind] <= limit, kind


def compiled_step(model):
    """A training step of a small model, and its inputs."""
    model.compile(AdamW(1e-3), "sparse_categorical_crossentropy")
    build_optimizer(model)
    return model.train_step, [(tf.zeros((2, 32, 48, 3)), tf.zeros((2,), tf.int64))]


def exported(model, path):
    """What a server runs of an exported small model, and its inputs."""
    version = keras_tnt.export_saved_model(model, path)
    loaded = tf.saved_model.load(version)

    def predict(images):
        return loaded.signatures["predict_images"](images=images)

    return predict, [tf.zeros((2, 32, 48, 3))]


# With TensorFlow 2.21, in a tenth less: fusions, copies, products.
PROGRAMS = {
    ("step", "float32"): (555, 121, 87),
    ("step", "mixed_bfloat16"): (703, 81, 87),
    ("exported", "float32"): (138, 27, 29),
    ("exported", "mixed_bfloat16"): (206, 30, 29),
}
OF_THE_HEAD = {"step": 3, "exported": 1}  # products in float32: forward, two gradients


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "dtype"), PROGRAMS)
def test_program__fusions_transfers_and_products(kind, dtype, tmp_path):
    """Of a small model: fused, without the host, and with products in bfloat16."""
    model = small(dtype=dtype)
    function, inputs = (
        compiled_step(model) if kind == "step" else exported(model, tmp_path)
    )
    compiled = tf.function(function, jit_compile=True, autograph=False)
    stages = compiled.experimental_get_compiler_ir(*inputs)
    program, optimized = (stages(stage=stage) for stage in ("hlo", "optimized_hlo"))
    fusions, copies, products = PROGRAMS[kind, dtype]
    found = of_executable(optimized)
    assert fusions / 2 < found["fusion"] <= fusions
    assert found["copy"] <= copies
    for transfer in ("infeed", "outfeed", "send", "recv", "custom-call"):
        assert not re.search(rf"\b{transfer}\b", optimized), transfer
    types = collections.Counter(
        re.findall(r"= (\w+)\[[\d,]*\]\S* (?:dot|convolution)\(", program)
    )
    if dtype == "float32":
        assert types == {"f32": products}
    else:
        head = OF_THE_HEAD[kind]
        assert types == {"bf16": products - head, "f32": head}
