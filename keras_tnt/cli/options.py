"""Options that several commands have."""

import argparse
import dataclasses
import inspect
import json
import re
from typing import Any

from keras_tnt.inference.classifier import PRECISIONS
from keras_tnt.training.recipe_fields import field_types
from keras_tnt.utils.counts import check_size

FIELD_PREFIX = "field:"


def add_orientation_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--ignore-orientation``."""
    parser.add_argument(
        "--ignore-orientation",
        action="store_true",
        help="do not turn photographs upright as their EXIF orientation says",
    )


def add_precision_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--precision`` of a Keras model's arithmetic."""
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of the arithmetic of a Keras model; auto is bfloat16 on CPUs that have "
        "it in hardware, otherwise float32; the model's own by default",
    )


def image_size(text: str) -> tuple[int, int]:
    """Return the height and width of a text such as ``224`` or ``192,256``."""
    try:
        sides = [int(side) for side in text.split(",")]
        return check_size("image_size", sides * 2 if len(sides) == 1 else sides)
    except ValueError:
        raise argparse.ArgumentTypeError(
            "expected a side such as 224, or a height and a width such as 192,256, "
            f"got {text!r}"
        ) from None


def add_field_options(
    parser: argparse.ArgumentParser, record_type: type, title: str
) -> None:
    """Add an option for every field of a record, explained by its docstring."""
    group = parser.add_argument_group(title)
    # Without docstrings (python -OO) the options have no help.
    text = (inspect.getdoc(record_type) or "").partition("Attributes:")[2]
    helps = dict(re.findall(r"^    (\w+): (.*(?:\n        .*)*)", text, re.MULTILINE))
    for name, kind in field_types(record_type).items():
        if dataclasses.is_dataclass(kind):
            continue
        how = (
            {"action": argparse.BooleanOptionalAction}
            if kind in (bool, bool | None)
            else {"type": _value, "metavar": "VALUE"}
        )
        group.add_argument(
            f"--{name.replace('_', '-')}",
            dest=FIELD_PREFIX + name,
            default=argparse.SUPPRESS,  # null is a value
            help=" ".join(
                helps.get(name, "").replace("%", "%%").replace("`", "").split()
            ),
            **how,
        )


def given_fields(options: argparse.Namespace) -> dict[str, Any]:
    """Return the values of fields given on the command line, by name."""
    return {
        name.removeprefix(FIELD_PREFIX): value
        for name, value in vars(options).items()
        if name.startswith(FIELD_PREFIX)
    }


def _value(text):
    """Parse a value as JSON, or return the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
