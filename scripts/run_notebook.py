"""Run the cells of examples/fine_tune_and_serve.ipynb, and keep their outputs.

TensorFlow's messages at its start are left out. Any other message to the standard
error, such as a warning, ends the script:

    python scripts/run_notebook.py
"""

import argparse
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "examples" / "fine_tune_and_serve.ipynb"
TENSORFLOW_STARTS = ("I0000 ", "WARNING: All log messages before absl::InitializeLog()")


def run(path):
    """Return a notebook with new outputs.

    Args:
        path: the notebook. Its cells write files into a temporary directory.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as directory:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            coalesce_streams=True,
            record_timing=False,
            resources={"metadata": {"path": directory}},
            startup_timeout=300,
        )
        client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_start(output)]
    return notebook


def is_start(output):
    """Return whether an output is what TensorFlow writes when it starts."""
    if output.get("name") != "stderr":
        return False
    lines = [line for line in output.text.splitlines() if line]
    if other := [line for line in lines if not line.startswith(TENSORFLOW_STARTS)]:
        raise SystemExit("A cell has a message: " + "\n".join(other))
    return True


def main():
    """Run the notebook and write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", default=NOTEBOOK, help="default: the same file")
    options = parser.parse_args()
    nbformat.write(run(NOTEBOOK), options.output)


if __name__ == "__main__":
    main()
