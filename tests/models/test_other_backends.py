"""The models on Keras's other backends, where those are installed."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT

SCRIPT = """
import keras, numpy
from tests.helpers import reference

for case in (
    "tnt_official",
    "tnt_official_qkv_bias_gray",
    "tnt_official_se",
    "pyramid_tnt",
):
    logits = reference.build(case)(reference.images(case))
    expected = reference.tensors(case)["logits"]
    found = keras.ops.convert_to_numpy(logits)
    numpy.testing.assert_allclose(found, expected, atol=1e-4)
print(keras.backend.backend())
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_models__equal_reference_on_other_backend(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"KERAS_BACKEND": backend},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split()[-1] == backend
