"""A short run of the load test; benchmarks/results has a long one."""

import json
import subprocess
import sys

import pytest

from tests.helpers import ROOT


@pytest.mark.processes
def test_serve__load_loses_and_swaps_no_answer(tmp_path):
    pytest.importorskip("litserve")
    arguments = ["--minutes", "0.1", "--out", str(tmp_path / "load.json")]
    process = subprocess.run(
        [sys.executable, "benchmarks/serving_load.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert process.returncode == 0, process.stdout[-500:] + process.stderr[-3000:]
    result = json.loads((tmp_path / "load.json").read_text())
    assert result["answers"] >= result["clients"]
    assert (result["lost"], result["wrong"]) == (0, 0)
    assert result["counted_by_server"] == result["answers"]
    assert 1 <= result["images_per_batch"] <= result["clients"]
