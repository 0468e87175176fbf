"""The benchmark for GPUs, rehearsed on the CPU at toy sizes.

`make test-gpu` rehearses all rows, with JAX, PyTorch and timm. `make test-jax`,
`make test-torch` and `make test-all` rehearse the first rows on their backend.
"""

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.bundled_images import bundled
from benchmarks.gpu_records import records, table
from benchmarks.gpu_workers import Worker, WorkerError, prepare
from tests.helpers import ROOT

COMPLETE = all(map(find_spec, ("jax", "torch", "timm")))
ROWS = gpu.NAMES if COMPLETE else gpu.NAMES[:3]
# PyTorch's compiler takes a minute a program.
SUBJECTS = gpu.installed() if COMPLETE else gpu.installed()[:1]
SAY_READY = 'print(\'{"ready": true, "device": "cpu"}\', flush=True);'


def run_gpu(out, *arguments):
    process = subprocess.run(
        [sys.executable, "benchmarks/gpu.py", "--toy", "--out", str(out), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert process.returncode == 0, process.stdout[-500:] + process.stderr[-3000:]
    lines = (out / "gpu_toy.jsonl").read_text(encoding="utf-8").splitlines()
    results = json.loads((out / "gpu_toy.json").read_text(encoding="utf-8"))
    assert [json.loads(line) for line in lines] == results["records"]
    return results, (out / "gpu_toy.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_gpu__rehearsal(tmp_path):
    options = ["--seconds", "3000", "--jobs", "2", "--rows", *ROWS]
    results, text = run_gpu(tmp_path, *options, "--subjects", *SUBJECTS)
    assert not results["missing"]
    expected = [
        (name, subject)
        for stage in gpu.STAGES
        for name, row in stage.items()
        for subject in SUBJECTS
        if name in ROWS and gpu.runs(subject, row)
    ]
    found = results["records"]
    assert [(each["row"], each["subject"]) for each in found] == expected
    assert [each["error"] for each in found] == [None] * len(found)
    for each in found:
        if each["row"] == "check":
            assert each["within_1e-4"]
            assert 1e-4 < each["largest_error"]["bfloat16"] < 0.2
        else:
            assert each["images_per_second"] > 0
            assert each["share_of_product"] > 0
            assert each["memory_kind"] == "process"
            eager = each["subject"] in ("torch", "timm")
            assert (each["compile_seconds"] is None) == eager
            assert set(each["relative_to"]) == set(SUBJECTS) & {"timm", "timm_compiled"}
        assert f"| {each['subject']} |" in text
    flops = {each["row"]: each.get("flops_per_image") for each in found}
    assert flops["training_128"] == 3 * flops["inference_256"] > 0


@pytest.mark.slow
def test_gpu__no_time_is_left(tmp_path):
    results, text = run_gpu(tmp_path, "--seconds", "0.2")
    assert results["records"] == []
    assert results["missing"] == gpu.NAMES
    assert "Not measured: check, inference_256" in text


def worker(code):
    return Worker(
        {"batch": 2, "subject": "fake"}, os.environ, (sys.executable, "-c", code)
    )


def test_prepare__failed_silent_and_ready_workers():
    codes = (
        f"{SAY_READY} input()",
        "raise MemoryError('CUDA out of memory')",
        'print(\'{"error": "no compiler"}\', flush=True); input()',
        "input()",
    )
    makers = [lambda code=code: worker(code) for code in codes]
    ready, crashed, refused = prepare(makers[:3], 2, time.monotonic() + 60)
    (silent,) = prepare(makers[3:], 1, time.monotonic() + 0.5)
    assert ready.error is None
    assert ready.facts["device"] == "cpu"
    assert crashed.error == "the process ended: MemoryError: CUDA out of memory"
    assert gpu.is_out_of_memory(crashed.error)
    assert refused.error == "no compiler"
    assert not gpu.is_out_of_memory(refused.error)
    assert silent.error == "not compiled in time"
    ready.end()
    assert all(each.process.poll() is not None for each in (ready, refused, silent))
    assert prepare(makers, 4, time.monotonic()) == []


def test_worker__error_and_silence_while_timing():
    slow = worker(f"{SAY_READY} input(); input()")
    slow.answer(60)
    with pytest.raises(WorkerError, match="no answer in 1 s"):
        slow.time(1, 1)
    assert slow.process.poll() is not None
    ended = worker(SAY_READY)
    ended.answer(60)
    with pytest.raises(WorkerError, match="the process ended: no message"):
        ended.time(1, 60)


def test_records__medians_of_pairs():
    spec = {"mode": "training", "precision": "bfloat16", "batch": 8, "remat": False}
    ours, theirs, late = (
        SimpleNamespace(
            spec=spec | {"model": "tnt_small", "subject": subject}, facts={}, error=None
        )
        for subject in ("jax", "timm", "torch")
    )
    times = {
        id(ours): [1.0, 2.0, 4.0],
        id(theirs): [2.0, 8.0, None],
        id(late): [None, None, None],
    }
    found = records("row", [ours, theirs, late], times, [100.0, None, 50.0], 10)
    assert found[0]["images_per_second"] == 4
    assert found[0]["relative_to"] == {"timm": 3.0}
    assert found[0]["share_of_product"] == (0.8 + 0.4) / 2
    assert found[2]["images_per_second"] is None
    assert found[2]["error"] == "no time was left"
    text = table({"toy": False, "missing": []}, found)
    assert "| row | torch | - | - | - | - | - | - | - | no time was left |" in text


def test_bundled__classes_and_images():
    images, labels = bundled("test")
    assert images.shape == (2000, 28, 28, 1)
    assert images.dtype == labels.dtype == "uint8"
    np.testing.assert_array_equal(np.bincount(labels), 200)
    if keras.backend.backend() == "tensorflow":
        from keras_tnt.data import fashion_mnist_mini

        expected = list(fashion_mnist_mini("test").batch(2000).as_numpy_iterator())
        np.testing.assert_array_equal(images, expected[0][0])
        np.testing.assert_array_equal(labels, expected[0][1])
