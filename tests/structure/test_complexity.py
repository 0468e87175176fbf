"""Parameters and multiply-adds by part."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from benchmarks.xla_program import of_program
from keras_tnt.structure import Complexity, Cost, complexity
from tests.helpers.checks import trainable_parameters
from tests.helpers.small import build_pyramid_tnt, build_tnt


def of_xla(model):
    """The multiply-adds of one image in XLA's program."""
    image = tf.constant(np.zeros((1, *model.input_shape[1:]), "float32"))
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=True)
    return of_program(compiled.experimental_get_compiler_ir(image)(stage="hlo"))


def test_of_xla__strides_groups_and_resizing():
    """By hand: output positions, or input positions if transposed, times the kernel."""
    model = keras.Sequential(
        [
            keras.Input((8, 12, 3)),
            keras.layers.Conv2D(5, 3, strides=2, padding="same"),
            keras.layers.DepthwiseConv2D(3, padding="same"),
            keras.layers.Conv2DTranspose(7, 2, strides=2),
            keras.layers.UpSampling2D(3, interpolation="bilinear"),
        ]
    )
    strided, depthwise = 4 * 6 * 9 * 3 * 5, 4 * 6 * 9 * 5
    transposed = 4 * 6 * 4 * 5 * 7
    assert of_xla(model) == strided + depthwise + transposed


def test_complexity__equations_of_the_paper():
    """Equations 14 to 18, by hand: n patches of m pixels, widths c and d."""
    n, m, c, d, depth = 2 * 3, 16, 12, 48, 2
    found = complexity(build_tnt())
    outer = 2 * (n + 1) * d * (6 * d + n + 1)  # the class token too
    inner = 2 * n * m * c * (6 * c + m)
    assert found.inner.multiply_adds == depth * inner
    assert found.projection.multiply_adds == depth * n * m * c * d
    assert found.outer.multiply_adds == depth * outer
    convolution = n * m * c * 7 * 7 * 3
    assert found.embedding.multiply_adds == convolution + n * m * c * d
    assert found.head.multiply_adds == d * 7
    assert found.merging == Cost(0, 0)
    # 12cc + mcd + 12dd, and what the equations leave out: biases and norms.
    assert found.inner.parameters == depth * (12 * c * c + 10 * c)
    assert found.outer.parameters == depth * (12 * d * d + 10 * d)
    assert found.projection.parameters == depth * (m * c * d + 2 * m * c + 2 * d)


def test_complexity__fewer_inner_blocks():
    full, one = (complexity(build_tnt(inner_blocks=b)) for b in ((1, 2), (2,)))
    for part in ("inner", "projection"):
        halved = Cost(*(value // 2 for value in full.parts[part]))
        assert one.parts[part] == halved
    assert full.outer == one.outer


@pytest.mark.parametrize(
    "build",
    [
        build_tnt,
        lambda: build_tnt(inner_blocks=(2,), se_ratio=0.25, qkv_bias=True, mlp_ratio=3),
        # Odd grids, and pooled keys.
        lambda: build_pyramid_tnt(input_shape=(72, 104, 3)),
    ],
    ids=["tnt", "other_tnt", "pyramid_tnt"],
)
def test_complexity__equal_to_xla(build):
    """For all tokens, as the paper counts; a call of a TNT leaves some out."""
    model = build()
    found = complexity(model)
    assert found.multiply_adds == of_xla(keras.Model(model.input, model.output))
    assert found.parameters == trainable_parameters(model)
    model.trainable = False
    assert complexity(model) == found


def test_complexity__inside_another_model():
    tnt = tnt_inside()
    own = complexity(tnt)
    images = keras.Input((40, 56, 3))
    x = keras.layers.Conv2D(3, 9, name="shrink")(images)
    scores = keras.layers.Dense(5)(keras.layers.LayerNormalization()(tnt(x)))
    found = complexity(keras.Model(images, scores, name="around"))
    assert (found.name, found.image_shape) == ("around", (32, 48, 3))
    extra = 32 * 48 * 9 * 9 * 3 * 3 + 48 * 5
    assert found.head.multiply_adds == own.head.multiply_adds + extra
    weights = (9 * 9 * 3 + 1) * 3 + 2 * 48 + 49 * 5
    assert found.head.parameters == own.head.parameters + weights
    assert {**found.parts, "head": own.head} == own.parts


def test_complexity__of_feature_extractor():
    model = build_tnt()
    found = complexity(keras_tnt.feature_extractor(model, blocks=(1,)))
    full = complexity(model)
    assert found.outer == Cost(*(value // 2 for value in full.outer))
    assert found.head == Cost(0, 0)


def test_complexity__quantized():
    model = build_tnt(depth=1)
    expected = complexity(model).multiply_adds
    model.quantize("int4", filters="dense")  # two weights in a byte
    assert complexity(model).multiply_adds == expected


def tnt_inside():
    return build_tnt(depth=1, include_top=False, pooling="token")


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.tnt = tnt_inside()

    def call(self, images):
        return self.tnt(images)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (dict, "Expected a TNT or PyramidTNT"),
        (Subclassed, "not functional.*find_tnt"),
        (
            lambda: keras.Sequential(
                [
                    tnt_inside(),
                    keras.layers.Reshape((6, 8)),
                    keras.layers.LSTM(4, name="memory"),
                ]
            ),
            "layer 'memory', a LSTM, are not known.*find_tnt",
        ),
    ],
    ids=["no model", "subclassed", "unknown layer"],
)
def test_complexity__errors(build, message):
    with pytest.raises(ValueError, match=message):
        complexity(build())


def test_complexity__record_and_table():
    found = Complexity("mine", (32, 48, 3), Cost(1_000, 75), head=Cost(20, 25))
    assert (found.parameters, found.multiply_adds) == (1_020, 100)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.name = "yours"
    assert str(found).splitlines() == [
        "mine, one image of 32x48x3",
        "part           parameters      multiply-adds  share",
        "embedding           1,000                 75  75.0%",
        "head                   20                 25  25.0%",
        "total               1,020                100 100.0%",
    ]
