"""The command line, one module for each command."""

import argparse
import logging
import sys
from collections.abc import Sequence

from keras_tnt._version import __version__
from keras_tnt.cli import (
    app,
    attention,
    benchmark,
    demo,
    evaluate,
    export,
    predict,
    show_augmentation,
    train,
)
from keras_tnt.training.callbacks import TrainingInterrupted

__all__ = ["main"]

COMMANDS = (
    demo,
    train,
    evaluate,
    predict,
    attention,
    app,
    export,
    show_augmentation,
    benchmark,
)

ERRORS = (FloatingPointError, ImportError, OSError, RuntimeError, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the command line without the program's name; that of this process
            by default.

    Returns:
        The exit status: 0 on success, 1 on a user error, 128 + N if signal N stopped a
        training.

    Example:
        >>> from keras_tnt.cli import main
        >>> main(["predict", "no_such_image.jpg"])
        1
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    try:
        return options.run(options) or 0
    except TrainingInterrupted as stopped:
        print(f"keras-tnt: {stopped}", file=sys.stderr)
        return 128 + stopped.signal
    except ERRORS as error:
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
