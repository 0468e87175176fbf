"""The notebook runs, and is in the repository with its outputs."""

import os
import re
import subprocess
import sys

import pytest

from tests.helpers import ROOT

nbformat = pytest.importorskip("nbformat", reason="the extra dev is not installed")

NOTEBOOK = ROOT / "examples" / "fine_tune_and_serve.ipynb"
FIGURES = 5


def check(notebook):
    """Check the outputs: what the cells print, and figures."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    printed = "".join(output.text for output in outputs if "text" in output)
    accuracy = float(re.search(r"^Accuracy ([\d.]+)%$", printed, re.MULTILINE)[1])
    assert accuracy > 82  # with other seeds and threads too
    difference = re.search(r"^Largest difference .*: (\S+)$", printed, re.MULTILINE)
    assert float(difference[1]) < 1e-5
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(images) == FIGURES
    assert {output.get("name") for output in outputs} <= {None, "stdout"}
    return printed


def test_notebook__committed_outputs():
    """No path of the machine that ran it, and small."""
    printed = check(nbformat.read(NOTEBOOK, as_version=4))
    assert not re.search(r"(^|\s)(/|[A-Z]:\\)\w+", printed)
    assert NOTEBOOK.stat().st_size < 400_000


@pytest.mark.end_to_end
def test_notebook__runs(tmp_path):
    process = subprocess.run(
        [
            sys.executable,
            ROOT / "scripts" / "run_notebook.py",
            "--output",
            tmp_path / "notebook.ipynb",
        ],
        env=os.environ
        | {"IPYTHONDIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    check(nbformat.read(tmp_path / "notebook.ipynb", as_version=4))
