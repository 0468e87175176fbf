"""Options that several commands have."""

import argparse


def add_orientation_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--ignore-orientation``."""
    parser.add_argument(
        "--ignore-orientation",
        action="store_true",
        help="do not turn photographs upright as their EXIF orientation says",
    )
