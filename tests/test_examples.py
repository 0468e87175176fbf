"""The examples run as they stand."""

import re
import signal
import subprocess
import sys

import keras
import pytest

from tests.helpers import ROOT
from tests.helpers.run_workers import free_ports
from tests.helpers.small import small

EXAMPLES = ROOT / "examples"


def run_example(name, directory, *arguments):
    """What an example prints, in the background of a script: SIGINT is ignored."""
    process = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=900,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout


@pytest.mark.end_to_end
def test_examples__train_imagenet(tmp_path):
    output = run_example("train_imagenet.py", tmp_path, "--epochs", "2")
    assert re.search(r"Accuracy of the weights [\d.]+%, of their EMA", output)
    assert (tmp_path / "runs" / "train_imagenet" / "model.keras").exists()


@pytest.mark.end_to_end
def test_examples__finetune(tmp_path):
    output = run_example("finetune.py", tmp_path)
    accuracy = float(re.search(r"Accuracy ([\d.]+)%", output)[1])
    assert accuracy > 52
    model = keras.saving.load_model(tmp_path / "finetuned.keras")
    assert model.input_shape == (None, 42, 42, 1)


@pytest.mark.end_to_end
def test_examples__export_and_serve(tmp_path):
    pytest.importorskip("litserve")
    (port,) = free_ports(1)
    output = run_example("export_and_serve.py", tmp_path, "--port", str(port))
    assert "exported/clothing/1 equals the model" in output
    answers = re.findall(r"^([\w -/]+): ([\w -/]+) \((\d+)%\)$", output, re.MULTILINE)
    assert len(answers) == 5
    assert sum(name == best for name, best, _ in answers) >= 3
    assert "nothing: not an image" in output


@pytest.mark.extra_large
def test_examples__multi_worker(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    output = run_example("multi_worker.py", tmp_path)
    accuracy = float(re.search(r"Accuracy with 2 replicas: ([\d.]+)%", output)[1])
    assert accuracy > 30
    assert (tmp_path / "runs" / "multi_worker" / "model.keras").exists()


@pytest.mark.end_to_end
def test_examples__segmentation(tmp_path):
    output = run_example("segmentation.py", tmp_path, "--scenes", "640", "--epochs=2")
    assert float(re.search(r"mIoU ([\d.]+) on 300 scenes", output)[1]) > 0.15
    assert (tmp_path / "runs" / "segmentation" / "masks.png").exists()


@pytest.mark.end_to_end
def test_examples__detection(tmp_path):
    pytest.importorskip("keras_hub", reason="KerasHub is not installed (extra hub)")
    output = run_example("detection.py", tmp_path, "--scenes", "240", "--epochs=2")
    losses = re.findall(r"- loss: ([\d.]+)", output)
    assert float(losses[1]) < float(losses[0])
    assert float(re.search(r"AP50 ([\d.]+) on 300 scenes", output)[1]) > 0.01
    assert (tmp_path / "runs" / "detection" / "boxes.png").exists()


@pytest.mark.end_to_end
def test_examples__retrieval(tmp_path):
    model = small(patch_size=7, inner_stride=2, input_shape=(28, 28, 1))
    model.save(tmp_path / "model.keras")
    output = run_example("retrieval.py", tmp_path, "--model", "model.keras")
    found = re.search(r"recall@1 ([\d.]+)%, of the pixels 78.2%", output)
    assert float(found[1]) > 20  # of ten classes, with random weights
    assert (tmp_path / "retrieval.png").exists()
