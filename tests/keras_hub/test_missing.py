"""Without KerasHub, `keras_tnt.keras_hub` says what to install."""

import importlib
import sys

import pytest

import keras_tnt


def test_import__without_keras_hub_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    monkeypatch.delitem(sys.modules, "keras_tnt.keras_hub", raising=False)
    with pytest.raises(ImportError, match=r'pip install "keras-tnt\[hub\]"'):
        importlib.import_module("keras_tnt.keras_hub")
    assert keras_tnt.feature_extractor  # all else is there
