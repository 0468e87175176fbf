"""Options that several commands have."""

import argparse

from keras_tnt.utils.counts import check_size


def add_orientation_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--ignore-orientation``."""
    parser.add_argument(
        "--ignore-orientation",
        action="store_true",
        help="do not turn photographs upright as their EXIF orientation says",
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
