"""Precisions: any nesting and any policy, and the metadata say what was written."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.export import export_model
from keras_tnt.export.load_exported import find_format, load_exported
from keras_tnt.export.precision import in_precision, precision_of
from keras_tnt.export.validation import as_functional
from tests.helpers.classifiers import (
    SHAPE,
    Subclassed,
    body,
    functional,
    images,
    subclassed,
)
from tests.helpers.runtimes import need_runtime

L, ops = keras.layers, keras.ops


def built_under(policy, build):
    keras.config.set_dtype_policy(policy)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy("float32")


def nested():
    return functional(L.Dense(3, "softmax"))


def nested_twice():
    inner = [keras.Input(SHAPE), nested()]
    return keras.Sequential([keras.Input(SHAPE), keras.Sequential(inner)])


def with_operations():
    return functional(lambda x: ops.softmax(ops.cast(L.Dense(3)(x), "float32") / 2))


def partly_mixed():
    tnt = built_under("mixed_float16", body)
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, L.Dense(3, "softmax")(tnt(inputs)))


def with_bfloat16_layer():
    def head(x):
        return L.Dense(3, "softmax")(L.Dense(8, dtype="bfloat16")(x))

    return functional(head)


MODELS = {
    "nested": (nested, "float32"),
    "nested twice": (nested_twice, "float32"),
    "operations": (with_operations, "float32"),
    "partly mixed": (partly_mixed, "float16"),
    "one layer": (with_bfloat16_layer, "bfloat16"),
    **{
        policy: (lambda policy=policy: built_under(policy, nested_twice), precision)
        for policy, precision in [
            ("mixed_bfloat16", "bfloat16"),
            ("mixed_float16", "float16"),
            ("bfloat16", "bfloat16"),
        ]
    },
    "subclassed": (
        lambda: built_under("mixed_bfloat16", lambda: subclassed("softmax")),
        "bfloat16",
    ),
}


QUICK = ("operations", "partly mixed", "mixed_bfloat16", "subclassed")


def dtypes(weights):
    """The number of values of each dtype."""
    found = collections.Counter()
    for weight in weights:
        found[weight.dtype] += int(np.prod(weight.shape))
    return found


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind in QUICK else pytest.mark.slow)
        for kind in MODELS
    ],
)
def test_in_precision__any_model(kind):
    build, precision = MODELS[kind]
    model = as_functional(build())
    assert precision_of(model) == precision
    expected = ops.convert_to_numpy(ops.cast(model(images()), "float32"))
    for precision, others in (("float32", 0), ("float16", 0.01), ("bfloat16", 0)):
        copied = in_precision(model, precision)
        found = dtypes(copied.weights)
        total = sum(found.values())
        assert precision_of(copied) == precision
        stored = "float16" if precision == "float16" else "float32"
        assert found[stored] >= (1 - others) * total
        np.testing.assert_allclose(copied(images()), expected, atol=0.05)


def test_in_precision__the_same_weights():
    model = as_functional(nested())
    copied = in_precision(model, "float32").get_weights()
    for weight, before in zip(copied, model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, before)


def test_in_precision__the_head_computes_in_float32():
    copied = in_precision(as_functional(nested_twice()), "float16")
    outer = copied.layers[-1].layers[-1]
    assert outer.layers[-1].compute_dtype == "float32"
    assert copied.output.dtype == "float32"


def test_precision_of__graphs_do_not_compute():
    model = built_under("mixed_bfloat16", lambda: keras.Sequential([keras.Input((4,))]))
    model.add(L.Dense(3, dtype="float32"))
    assert precision_of(model) == "float32"


def test_precision_of__quantized_parts():
    model = nested()
    model.layers[-1].quantize("int8")
    assert precision_of(keras.Sequential([keras.Input(SHAPE), model])) == "int8"


class NoConfig(Subclassed):
    def get_config(self):
        raise NotImplementedError


def test_in_precision__layers_that_cannot_be_copied():
    model = NoConfig("softmax")
    model(images(1))
    with pytest.raises(ValueError, match="has no complete get_config"):
        in_precision(as_functional(model), "float16")


@pytest.mark.slow
def saved_dtypes(path):
    """The number of values of each dtype in a SavedModel's variables."""
    reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    shapes, found = reader.get_variable_to_shape_map(), collections.Counter()
    for name, dtype in reader.get_variable_to_dtype_map().items():
        if dtype != tf.string:
            found[dtype.name] += int(np.prod(shapes[name]))
    return found


@pytest.mark.parametrize(
    "precision", [pytest.param("float32", marks=pytest.mark.slow), "float16"]
)
def test_export_model__precision_of_saved_model(precision, tmp_path):
    model = built_under("mixed_bfloat16", nested_twice)
    path = export_model(model, tmp_path / "m", precision=precision).path
    found = saved_dtypes(path)
    assert found[precision] > 0.99 * sum(found.values())
    assert load_exported(path, "savedmodel").metadata.precision == precision


def test_export_model__precision_of_onnx_file(tmp_path):
    need_runtime("onnx")
    import onnx

    model = built_under("mixed_bfloat16", nested)
    path = export_model(model, tmp_path / "m", "onnx", "float16").path
    found = collections.Counter()
    for tensor in onnx.load(path).graph.initializer:
        found[tensor.data_type] += int(np.prod(tensor.dims))
    assert found[onnx.TensorProto.FLOAT16] > 0.9 * sum(found.values())
    assert load_exported(*find_format(path)[::-1]).metadata.precision == "float16"


def test_in_precision__merges_low_rank_adapters():
    model = as_functional(nested())
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Dense)
    ]
    for layer in layers:
        layer.enable_lora(2)
        layer.lora_kernel_b.assign(tf.ones_like(layer.lora_kernel_b) / 8)
    copied = in_precision(model, "float32")
    np.testing.assert_allclose(copied(images()), model(images()), atol=1e-6)
    assert not any("lora" in weight.name for weight in copied.weights)
