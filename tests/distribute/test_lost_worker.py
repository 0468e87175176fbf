"""A training that loses a worker ends, and resumes as if nothing had happened."""

import re

import pytest

from tests.helpers import run_workers, worker_train
from tests.helpers.runs import assert_same_run

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    ("who", "number", "message", "checkpoint"),
    [
        (0, "SIGKILL", "worker 0 .* does not answer.*Start all workers again", 5),
        pytest.param(
            *(1, "SIGKILL", "worker 1 .* does not answer.*Start all workers again", 5),
            marks=pytest.mark.extra_large,
        ),
        (1, "SIGTERM", "stopped by SIGTERM after step 10", 10),
    ],
)
def test_train__resumes_after_lost_worker(
    who, number, message, checkpoint, together, tmp_path
):
    run = tmp_path / "run"
    with run_workers.workers(
        worker_train.MODULE, run, who, 8, number, directory=tmp_path
    ) as processes:
        codes = [process.end() for process in processes]
        assert codes[1 - who] == 1
        assert codes[who] == (-9 if number == "SIGKILL" else 1)
        assert re.search(message, processes[1 - who].output())
    newest = max((run / "checkpoints").glob("step-*"))
    assert newest.name == f"step-{checkpoint:08}.safetensors"
    outputs = run_workers.run(worker_train.MODULE, run, directory=tmp_path)
    assert f"Resuming after step {checkpoint}" in outputs[0]
    assert_same_run(run, together / "0", atol=1e-5)
