"""Keras's own `run_layer_test`, on every public layer.

Left out: its check of training for layers of several inputs, because it passes a dict
to the first argument; `tests.helpers.checks.check_layer` computes their gradients.
"""

import keras
import numpy as np
import pytest
from keras.src.testing import TestCase

from keras_tnt import layers

PIXELS = (2, 4, 16, 12)
TOKENS = (2, 5, 24)
PIXEL_MAP = (2, 4, 6, 16, 4)
PATCH_MAP = (2, 4, 6, 16)
POOLED_BIAS = (1, 2, 24, 6)
ONE_INPUT = [
    (layers.FeedForward, {}, TOKENS, TOKENS),
    (layers.LayerNorm, {}, TOKENS, TOKENS),
    (layers.PatchEmbedding, {"dim": 8}, PIXELS, (2, 5, 8)),
    (layers.PatchMerging, {"dim": 6}, PATCH_MAP, (2, 2, 3, 6)),
    (layers.PixelEmbedding, {"dim": 6}, (2, 32, 48, 3), (2, 6, 16, 6)),
    (layers.PixelMerging, {"dim": 6}, PIXEL_MAP, (2, 2, 3, 16, 6)),
    (
        layers.PyramidStem,
        {"outer_dim": 6, "inner_dim": 4},
        (2, 16, 24, 3),
        ((2, 2, 3, 16, 4), (2, 2, 3, 6)),
    ),
    (layers.SelfAttention, {"num_heads": 3}, TOKENS, TOKENS),
    (layers.SqueezeExcitation, {}, TOKENS, TOKENS),
    (layers.TransformerBlock, {"num_heads": 3, "se_ratio": 0.25}, TOKENS, TOKENS),
]
SEVERAL_INPUTS = [
    (
        layers.PyramidStage,
        {"depth": 2, "outer_num_heads": 2, "inner_num_heads": 2, "sr_ratio": 2},
        {"pixels": PIXEL_MAP, "patches": PATCH_MAP},
        (PIXEL_MAP, PATCH_MAP),
    ),
    (
        layers.PyramidTNTBlock,
        {"outer_num_heads": 2, "inner_num_heads": 2, "sr_ratio": 2},
        {"pixels": PIXEL_MAP, "patches": PATCH_MAP, "position_bias": POOLED_BIAS},
        (PIXEL_MAP, PATCH_MAP),
    ),
    (
        layers.SpatialReductionAttention,
        {"num_heads": 2, "sr_ratio": 2},
        {"patches": PATCH_MAP, "position_bias": POOLED_BIAS},
        PATCH_MAP,
    ),
    (
        layers.SpatialReductionBlock,
        {"num_heads": 2, "sr_ratio": 2},
        {"patches": PATCH_MAP, "position_bias": POOLED_BIAS},
        PATCH_MAP,
    ),
    (
        layers.TNTBlock,
        {"outer_num_heads": 3, "inner_num_heads": 2},
        {"pixels": PIXELS, "patches": TOKENS},
        (PIXELS, TOKENS),
    ),
]
LAYERS = ONE_INPUT + SEVERAL_INPUTS
SCORES = {
    layers.SelfAttention: (TOKENS, (2, 3, 5, 5)),
    layers.TransformerBlock: (TOKENS, (2, 3, 5, 5)),
    layers.TNTBlock: (PIXELS, TOKENS, (2, 4, 2, 16, 16), (2, 3, 5, 5)),
    layers.SpatialReductionAttention: (PATCH_MAP, (2, 2, 24, 6)),
    layers.SpatialReductionBlock: (PATCH_MAP, (2, 2, 24, 6)),
    layers.PyramidTNTBlock: (PIXEL_MAP, PATCH_MAP, (2, 24, 2, 16, 16), (2, 2, 24, 6)),
}
each_layer = pytest.mark.parametrize(
    ("cls", "arguments", "inputs", "outputs"),
    LAYERS,
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)


class KerasTestCase(TestCase):
    def runTest(self):  # noqa: N802 (the name that unittest asks for)
        """Let pytest make an instance, whose checks the tests call."""


def as_list(inputs):
    return list(inputs.values()) if isinstance(inputs, dict) else [inputs]


def shapes(outputs):
    return keras.tree.map_structure(lambda output: tuple(output.shape), outputs)


def test_layers__all_public_ones_are_listed():
    listed = {cls.__name__ for cls, *_ in LAYERS}
    assert listed == set(layers.__all__) - {"gelu"}


# Keras shuffles a generator, which it does not shuffle.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
@each_layer
def test_run_layer_test__every_layer(cls, arguments, inputs, outputs):
    several = isinstance(inputs, dict)
    KerasTestCase().run_layer_test(
        cls,
        arguments,
        input_shape={f"{name}_shape": shape for name, shape in inputs.items()}
        if several
        else inputs,
        expected_output_shape=outputs,
        run_training_check=not several,
    )


@each_layer
def test_compute_output__equals_the_calls(cls, arguments, inputs, outputs):
    given = as_list(inputs)
    values = [keras.ops.ones(shape) for shape in given]
    layer = cls(**arguments)
    assert layer.compute_output_shape(*given) == outputs
    assert not layer.built
    assert shapes(layer(*values)) == outputs
    specs = [keras.KerasTensor((None, *shape[1:])) for shape in given]
    found = layer.compute_output_shape(*[spec.shape for spec in specs])
    assert found == shapes(layer(*specs))
    half = cls(**arguments, dtype="mixed_bfloat16")
    specs = half.compute_output_spec(*values)
    assert shapes(specs) == outputs
    assert {spec.dtype for spec in keras.tree.flatten(specs)} == {"bfloat16"}


@pytest.mark.parametrize("cls", SCORES)
def test_compute_output_spec__with_attention_scores(cls):
    ((arguments, inputs),) = [
        (arguments, inputs) for each, arguments, inputs, _ in LAYERS if each is cls
    ]
    values = [np.ones(shape, "float32") for shape in as_list(inputs)]
    layer = cls(**arguments)
    options = {"return_attention_scores": True}
    assert shapes(layer.compute_output_spec(*values, **options)) == SCORES[cls]
    assert not layer.built
    assert shapes(layer(*values, **options)) == SCORES[cls]
    assert shapes(layer.compute_output_spec(*values, **options)) == SCORES[cls]


# TimeDistributed takes one input and gives one output.
@pytest.mark.parametrize(
    ("cls", "arguments", "shape", "output"),
    [case for case in ONE_INPUT if case[0] is not layers.PyramidStem],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_time_distributed__every_layer(cls, arguments, shape, output, rng):
    batch, *frame = shape
    inputs = rng.normal(size=(batch, 3, *frame)).astype("float32")
    layer = keras.layers.TimeDistributed(cls(**arguments))
    expected = (batch, 3, *output[1:])
    assert tuple(layer.compute_output_shape(inputs.shape)) == expected
    assert layer(keras.KerasTensor((None, *inputs.shape[1:]))).shape[1:] == expected[1:]
    outputs = layer(inputs)
    assert tuple(outputs.shape) == expected
    np.testing.assert_allclose(outputs[:, 1], layer.layer(inputs[:, 1]), atol=1e-5)
