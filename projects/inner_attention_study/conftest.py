"""Fixtures of the study's tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _fresh_keras():
    """Start each test from the same seed, and free its graph afterwards."""
    keras.utils.set_random_seed(0)
    yield
    keras.utils.clear_session(free_memory=False)


@pytest.fixture
def rng():
    """Return a seeded generator."""
    return np.random.default_rng(0)
