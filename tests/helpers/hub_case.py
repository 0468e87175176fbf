"""KerasHub's test case, which its wheel contains."""

import importlib.util
import sys
import types

import keras_hub  # noqa: F401 (before the placeholder, or it takes that for Grain)
import numpy as np


def _test_case():
    """Import KerasHub's `TestCase`. Its module imports Grain, which few install."""
    module = "keras_hub.src.tests.test_case"
    if importlib.util.find_spec("grain"):
        return importlib.import_module(module).TestCase
    sys.modules["grain"] = types.ModuleType("grain")
    try:
        return importlib.import_module(module).TestCase
    finally:
        del sys.modules["grain"]


class HubTestCase(_test_case()):
    """KerasHub's checks, without those that need Grain where it is not installed."""

    test_session = None  # TensorFlow's test of its own test case

    def run_grain_preprocessing_test(self, *arguments):
        if importlib.util.find_spec("grain"):
            super().run_grain_preprocessing_test(*arguments)

    def run_local_preset_test(self, model, inputs):
        """Save a model as a preset, and check what KerasHub loads from it."""
        directory = self.get_temp_dir()
        model.save_to_preset(directory)
        expected = np.asarray(model(inputs))
        self.run_preset_test(type(model), directory, inputs, expected_output=expected)
