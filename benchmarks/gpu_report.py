"""Results of gpu.py and gpu_study.py: a line per record, one JSON file, one table."""

import datetime
import importlib.metadata
import json
import os
import platform
from pathlib import Path

PACKAGES = ("jax", "jaxlib", "torch", "tensorflow", "timm", "keras", "numpy")


class Results:
    """Records that are on the disk as soon as they are known.

    `NAME.jsonl` gets a line for each record. `NAME.json` and the table `NAME.md` are
    written anew each time, so that a run that is cut short leaves what it had.

    Args:
        directory: where the files go; made if it is missing.
        name: the name of the files without suffix.
        table: function of the facts and the records that returns Markdown.
        **facts: what `NAME.json` has beside the records.
    """

    def __init__(self, directory, name, table, **facts):
        self.path = Path(directory) / name
        self.table, self.facts, self.records = table, facts, []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.with_suffix(".jsonl").write_text("", encoding="utf-8")

    def add(self, record):
        """Store a record and print it."""
        self.records.append(record)
        line = json.dumps(record)
        with self.path.with_suffix(".jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(line, flush=True)

    def write(self, **facts):
        """Write the JSON file and the table, with further facts."""
        from keras_tnt.utils.files import atomic_write

        self.facts |= facts
        whole = json.dumps(self.facts | {"records": self.records}, indent=1)
        for suffix, text in (
            (".json", whole),
            (".md", self.table(self.facts, self.records)),
        ):
            with atomic_write(self.path.with_suffix(suffix)) as unfinished:
                unfinished.write_text(text + "\n", encoding="utf-8")


def markdown(columns, rows):
    """Return a Markdown table.

    Args:
        columns: the headings.
        rows: lists of values; `None` is shown as "-".
    """
    lines = [columns, ["---"] * len(columns)]
    lines += [["-" if value is None else str(value) for value in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine():
    """Describe the machine."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }
