"""Checkpoints: whole or not at all, the newest whole one is used."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from keras_tnt.training.checkpoints import Checkpoints
from tests.helpers.toy import environment_without_coverage

TENSORS = {
    "model/0/kernel": np.arange(6, dtype="float32").reshape(2, 3),
    "model/1/seed": np.array([1, 2], "uint32"),
    "optimizer/0/iteration": np.array(7, "int64"),
}
STATE = {"step": 7, "logs": {"loss": 0.25}}


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        np.testing.assert_array_equal(tensor, theirs[name], strict=True)


def test_checkpoints__round_trip(tmp_path):
    checkpoints = Checkpoints(tmp_path / "new" / "checkpoints")
    assert checkpoints.newest() is None
    path = checkpoints.save(7, TENSORS, STATE)
    newest = checkpoints.newest()
    assert newest.path == path
    assert newest.state == STATE
    assert_equal(newest.tensors, TENSORS)


@settings(deadline=None, max_examples=30)
@given(
    value=st.sampled_from(["float32", "float16", "int64", "uint32"]).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))
    )
)
def test_checkpoints__any_array(value, tmp_path_factory):
    checkpoints = Checkpoints(tmp_path_factory.mktemp("checkpoints"))
    checkpoints.save(1, {"value": value}, {})
    np.testing.assert_array_equal(
        checkpoints.newest().tensors["value"], value, strict=True
    )


def test_checkpoints__keep_last(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 20, 100):
        checkpoints.save(step, TENSORS, {"step": step})
    assert [path.name for path in checkpoints.paths()] == [
        "step-00000020.safetensors",
        "step-00000100.safetensors",
    ]
    checkpoints.save(100, TENSORS, {"step": 100, "again": True})
    assert checkpoints.newest().state["again"]
    assert len(os.listdir(tmp_path)) == 2


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def another_file(path):
    path.write_text("not a checkpoint at all, just some text that lies here")


@pytest.mark.parametrize("damage", [truncate, empty, flip_a_bit, another_file])
def test_checkpoints__damaged_skipped(damage, tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path)
    for step in (10, 20):
        path = checkpoints.save(step, TENSORS, {"step": step})
    damage(path)
    newest = checkpoints.newest()
    assert newest.state == {"step": 10}
    assert_equal(newest.tensors, TENSORS)
    assert str(path) in caplog.text
    assert "damaged" in caplog.text
    assert "skipped" in caplog.text
    damage(checkpoints.paths()[0])
    with pytest.raises(ValueError, match=r"All checkpoints in .* are damaged"):
        checkpoints.newest()


# Files of this process may have 100,000 bytes: the same error path as a full disk.
FULL = """
import resource, sys
import numpy as np
from keras_tnt.training.checkpoints import Checkpoints

checkpoints = Checkpoints(sys.argv[1])
checkpoints.save(10, {"a": np.zeros(100)}, {"step": 10})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
checkpoints.save(20, {"a": np.zeros(100_000)}, {"step": 20})
"""


@pytest.mark.slow
def test_checkpoints__full_disk(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment_without_coverage(),
    )
    assert process.returncode == 1
    error = process.stderr.splitlines()[-1]
    assert error.startswith("OSError")
    assert "The checkpoint of step 20 could not be written" in error
    assert "step-00000010.safetensors" in error
    assert os.listdir(tmp_path) == ["step-00000010.safetensors"]
    assert Checkpoints(tmp_path).newest().state == {"step": 10}


def test_checkpoints__killed_writer(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, TENSORS, {"step": 10})
    (tmp_path / ".step-00000020.safetensors.123.tmp.safetensors").write_bytes(b"half")
    assert checkpoints.newest().state == {"step": 10}
    checkpoints.save(20, TENSORS, {"step": 20})
    assert [path.name for path in checkpoints.paths()] == sorted(os.listdir(tmp_path))
