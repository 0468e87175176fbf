"""Heads of classifiers, found in their graphs."""

import keras
import pytest

from keras_tnt.structure import find_head, has_graph

L, ops = keras.layers, keras.ops


def model_with(head):
    features = keras.Input((4,), name="features")
    return keras.Model(features, head(features))


@pytest.mark.parametrize(
    ("head", "activation"),
    [
        (L.Dense(3, "softmax"), "softmax"),
        (L.Dense(3), "linear"),
        (lambda x: L.Softmax()(L.Dense(3)(x)), "softmax"),
        (lambda x: L.Softmax(axis=0)(L.Dense(3)(x)), None),
        (lambda x: ops.cast(ops.softmax(L.Dense(3)(x)), "float32"), "softmax"),
        (lambda x: 2 * ops.softmax(L.Dense(3)(x)), None),
        (lambda x: 2 * L.Dense(3)(x) + 1, "linear"),
        (lambda x: ops.log_softmax(x), "linear"),
        (L.Dense(3, "sigmoid"), "sigmoid"),
        (L.Dense(3, "relu"), "relu"),
        (lambda x: L.ReLU()(L.Dense(3)(x)), "relu"),
        (L.Dense(3, lambda x: x), None),
        (lambda x: x + L.Dense(4)(x), None),
    ],
)
@pytest.mark.parametrize("is_nested", [False, True])
def test_find_head__activation(head, activation, is_nested):
    model = model_with(head)
    if is_nested:
        model = keras.Sequential([keras.Input((4,)), keras.Sequential([model])])
    assert find_head(model).activation == activation


def test_find_head__tensors_of_its_own_graph():
    dense = L.Dense(3)
    model = model_with(lambda x: ops.softmax(dense(x) / 2))
    head = find_head(model)
    assert head.dense is dense
    assert head.layers == (dense,)
    assert head.features is model.input
    assert head.logits.shape == (None, 3)
    outer = keras.Sequential([keras.Input((4,)), model])
    assert find_head(outer) == head._replace(features=None, logits=None)


def test_find_head__dense_activates():
    assert find_head(model_with(L.Dense(3, "softmax"))).dense_activates
    twice = model_with(lambda x: ops.softmax(L.Dense(3, "softmax")(x)))
    assert not find_head(twice).dense_activates


def test_find_head__continues_before_a_nested_model():
    dense = L.Dense(3)
    softmax = keras.Sequential([keras.Input((3,)), L.Softmax()])
    head = find_head(model_with(lambda x: softmax(dense(x))))
    assert (head.activation, head.logits, head.dense) == ("softmax", None, dense)


class OwnCall(keras.Sequential):
    def call(self, inputs):
        return 2 * super().call(inputs)


def test_has_graph__kinds_of_models():
    layers = [keras.Input((4,)), L.Dense(2)]
    assert has_graph(keras.Sequential(layers))
    assert not has_graph(OwnCall(layers))
    assert not has_graph(keras.Sequential(layers[1:]))
    assert not has_graph(layers[1])
