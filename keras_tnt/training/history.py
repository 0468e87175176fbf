"""The history of a run, a row for each epoch."""

import csv
from pathlib import Path
from typing import Any

from keras_tnt.utils.files import atomic_write
from keras_tnt.utils.typing import PathLike


class History:
    """Metrics by epoch, in a CSV file that is written atomically.

    Args:
        path: the file.

    Example:
        >>> from keras_tnt.training.history import History
        >>> history = History("history.csv")
        >>> history.write({"epoch": 1, "loss": 0.5})
        >>> history.rows()
        [{'epoch': 1, 'loss': 0.5}]
    """

    def __init__(self, path: PathLike):
        self.path = Path(path)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows, with numbers parsed."""
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            return [
                {name: _number(text) for name, text in row.items()}
                for row in csv.DictReader(file)
            ]

    def write(self, row: dict[str, Any]) -> None:
        """Write the row of an epoch, and delete this and all later rows."""
        rows = [old for old in self.rows() if old["epoch"] < row["epoch"]] + [row]
        names = list(dict.fromkeys(name for row in rows for name in row))
        with (
            atomic_write(self.path) as unfinished,
            unfinished.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)


def _number(text):
    value = float(text or "nan")
    return int(value) if value.is_integer() else value
