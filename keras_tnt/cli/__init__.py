"""The command line: parses, calls the library, prints. A module a command."""

import argparse
import logging
import sys

from keras_tnt import __version__
from keras_tnt.cli import demo, predict

COMMANDS = (demo, predict)


def main(arguments=None):
    """Runs a command.

    Args:
        arguments: the command line without the program's name; by default this
            process's own.

    Returns:
        The exit status: 0, or 1 after an error that is the user's to mend.

    Example:
        >>> from keras_tnt.cli import main
        >>> main(["predict", "no_such_picture.jpg"])
        1
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    try:
        return options.run(options) or 0
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print(f"keras-tnt: {error}", file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras-tnt", description="Transformer in Transformer for Keras 3."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_command(commands)
    return parser
