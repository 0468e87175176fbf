"""The default that `keras_tnt.compat.onednn` changes."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.machine() != "x86_64", reason="oneDNN is for x86 processors"
    ),
]
USED = "from tensorflow.python.framework.test_util import IsMklEnabled as used"


def answer(code, **environment):
    """What a new process prints."""
    without = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    return subprocess.check_output(
        [sys.executable, "-c", code], env=without | environment, text=True
    ).strip()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, "True"), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "False")],
)
def test_import__uses_onednn_unless_the_user_does_not_want_it(environment, expected):
    assert answer(f"import keras_tnt; {USED}; print(used())", **environment) == expected


def test_import_after_tensorflow__sets_nothing():
    code = (
        "import os, tensorflow, keras_tnt; print('TF_ENABLE_ONEDNN_OPTS' in os.environ)"
    )
    assert answer(code) == "False"


def test_use_onednn__still_needed():
    with open("/proc/cpuinfo") as file:
        flags = file.read()
    if "avx512_vnni" in flags or "avx_vnni" in flags:
        pytest.skip("TensorFlow uses oneDNN by default on this processor")
    assert answer(f"{USED}; print(used())") == "False", (
        "TensorFlow uses oneDNN by default: remove keras_tnt.compat.onednn"
    )
