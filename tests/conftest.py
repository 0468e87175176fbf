"""What every test runs with."""

import fnmatch
import gc
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As for users who import keras_tnt first: TensorFlow reads it when it is imported.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# No test may reach beyond this machine.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers share the cores: each computes on one, and so do its subprocesses.
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import keras
import numpy as np
import pytest

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Two logical devices, for tests of two replicas; must come before any tensor.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )

# Marks of tests that `make test-all` leaves to targets of their own.
OF_OTHER_TARGETS = ("processes", "end_to_end", "extra_large")
ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")


@pytest.fixture(autouse=True)
def _fresh_keras():
    """Each test starts from the same seed and leaves no graph or policy behind."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
    keras.utils.clear_session(free_memory=False)


@pytest.fixture(autouse=True, scope="module")
def _small_heap():
    """Keep collections of garbage quick in a process that runs many files.

    Keras collects garbage for every layer that it quantizes.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pytest_collection_modifyitems(config, items):
    """Leave out what has a target of its own, and begin with slow files.

    No worker then ends with a slow file alone.
    """
    for mark in OF_OTHER_TARGETS:
        if mark not in config.option.markexpr:
            others = {item for item in items if item.get_closest_marker(mark)}
            config.hook.pytest_deselected(items=list(others))
            items[:] = [item for item in items if item not in others]
    marks = ("slow", *OF_OTHER_TARGETS)
    slow = {item.path for item in items if any(map(item.get_closest_marker, marks))}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """In CI, a skip that allowed_skips.txt does not list fails the session."""
    gc.unfreeze()  # Hypothesis may be imported now, and looks for referrers
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    unexpected = [
        f"{report.nodeid}: {reason}"
        for report in reporter.stats.get("skipped", [])
        if not is_allowed(report.nodeid, reason := report.longrepr[2])
    ]
    if unexpected:
        reporter.write_line(
            "Unexpected skips. Install what is missing, or list them in "
            "tests/allowed_skips.txt:",
            red=True,
        )
        for line in unexpected:
            reporter.write_line(f"  {line}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def is_allowed(nodeid, reason):
    """Whether a line of allowed_skips.txt covers a skip."""
    lines = ALLOWED_SKIPS.read_text(encoding="utf-8").splitlines()
    patterns = [line.split(" :: ", 1) for line in lines if line and line[0] != "#"]
    return any(
        fnmatch.fnmatchcase(nodeid, where) and why in reason for where, why in patterns
    )
