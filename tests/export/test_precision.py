"""Copies of a model in another precision."""

import keras

from keras_tnt.export.precision import in_int8
from tests.helpers.small import dense_classifier


def test_in_int8__prints_no_report(monkeypatch, capsys):
    """Keras prints one from 3.16 on, unless it is asked not to."""
    calls = []

    def quantize(self, mode, filters=None, verbose=True):
        calls.append((mode, verbose, [layer.name for layer in filter(filters, layers)]))

    layers = [keras.layers.Dense(2, name="inner"), keras.layers.Dropout(0.1)]
    monkeypatch.setattr(keras.Model, "quantize", quantize)
    in_int8(dense_classifier())
    assert calls == [("int8", False, ["inner"])]
    monkeypatch.undo()
    model = in_int8(dense_classifier())
    assert model.count_params() > 0
    assert capsys.readouterr().out == ""
