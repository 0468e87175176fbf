"""The examples run as they stand."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import keras
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run_example(name, folder, *arguments):
    """What an example prints."""
    process = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout


@pytest.mark.slow
def test_train_imagenet(tmp_path):
    output = run_example("train_imagenet.py", tmp_path, "--epochs", "2")
    assert re.search(r"Accuracy of the weights [\d.]+%, of their average", output)
    assert (tmp_path / "runs" / "train_imagenet" / "model.keras").exists()


@pytest.mark.slow
def test_finetune(tmp_path):
    output = run_example("finetune.py", tmp_path)
    accuracy = float(re.search(r"Accuracy ([\d.]+)%", output)[1])
    assert accuracy > 55
    model = keras.saving.load_model(tmp_path / "finetuned.keras")
    assert model.input_shape == (None, 42, 42, 1)


@pytest.mark.slow
def test_export_and_serve(tmp_path):
    pytest.importorskip("litserve")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    output = run_example("export_and_serve.py", tmp_path, "--port", str(port))
    assert "exported/clothing/1 answers like the model" in output
    answers = re.findall(r"^([\w -/]+): ([\w -/]+) \((\d+)%\)$", output, re.MULTILINE)
    assert len(answers) == 5
    assert sum(name == best for name, best, _ in answers) >= 3
    assert "nothing: not a picture" in output


@pytest.mark.slow
def test_multi_worker(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    output = run_example("multi_worker.py", tmp_path)
    accuracy = float(re.search(r"2 replicas trained: ([\d.]+)% right", output)[1])
    assert accuracy > 30
    assert (tmp_path / "runs" / "multi_worker" / "model.keras").exists()
