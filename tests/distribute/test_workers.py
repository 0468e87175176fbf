"""Two processes train as one device does, over real gRPC; and what if one is lost."""

import json
import re
import signal

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import run_workers, worker_fit
from tests.helpers.checks import two_replicas

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def alone():
    return worker_fit.fit(tf.distribute.OneDeviceStrategy("/cpu:0"))[0]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What each of two workers found: arrays and facts."""
    directory = tmp_path_factory.mktemp("workers")
    run_workers.run("tests.helpers.worker_fit", directory, directory=directory)
    return [
        (
            dict(np.load(directory / f"{index}.npz")),
            json.loads((directory / f"{index}.json").read_text()),
        )
        for index in range(2)
    ]


def assert_same(found, expected, atol):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=atol, err_msg=name)


def test_fit__one_device(alone):
    assert len(alone["losses"]) == worker_fit.STEPS
    before, after = alone["history/loss"]
    assert after < before
    assert {"history/val_loss", "evaluation/accuracy"} <= set(alone)
    assert alone["predictions"].shape == (3 * worker_fit.BATCH, 7)


def test_fit__two_replicas(alone):
    assert_same(worker_fit.fit(two_replicas())[0], alone, atol=1e-4)


def test_fit__two_workers(alone, together):
    for arrays, _ in together:
        assert_same(arrays, alone, atol=1e-4)


def test_fit__workers_have_equal_weights(together):
    (ours, _), (theirs, _) = together
    assert_same(ours, theirs, atol=0)


def test_workers__facts(together):
    facts = [facts for _, facts in together]
    assert [fact["chief"] for fact in facts] == [True, False]
    for index, fact in enumerate(facts):
        assert fact["strategy"] == "MultiWorkerStrategy"
        assert fact["workers"] == 2
        assert fact["any"] == [True, True, False]
        assert fact["total"] == 2 * 10**12 + 1
        expected = f"step is {index} on this worker, and another .* Share the directory"
        assert re.search(expected, fact["disagreement"])


def test_multi_worker_strategy__still_present(together):
    """The test of `keras_tnt.compat`; it stands here to share the workers' start."""
    for _, facts in together:
        assert facts["faults"] == ["except_batches", "except_scalars"], (
            "Keras supports several workers: "
            "remove keras_tnt.compat.multi_worker.MultiWorkerStrategy"
        )


@pytest.mark.parametrize(
    ("who", "how", "message"),
    [
        (1, signal.SIGKILL, r"worker 1 \(localhost:\d+\) does not answer"),
        pytest.param(
            0, signal.SIGKILL, "does not answer", marks=pytest.mark.extra_large
        ),
        (1, signal.SIGSTOP, "does not answer"),
        pytest.param(
            0, signal.SIGSTOP, "does not answer", marks=pytest.mark.extra_large
        ),
    ],
)
def test_workers__lost_worker(who, how, message, tmp_path):
    with run_workers.workers(
        "tests.helpers.worker_lost", directory=tmp_path
    ) as processes:
        for process in processes:
            process.wait_for("step 3\n")
        processes[who].send_signal(how)
        other = processes[1 - who]
        assert other.end() == 1
        assert re.search(f"RuntimeError: .*{message}", other.output())
        assert "to resume from the newest checkpoint" in other.output()
