"""The command line, one module for each command."""

import argparse
import dis
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_tnt._version import __version__
from keras_tnt.cli import (
    app,
    attention,
    benchmark,
    convert,
    demo,
    evaluate,
    export,
    predict,
    show_augmentation,
    train,
)
from keras_tnt.training.callbacks import TrainingInterrupted
from keras_tnt.utils.files import local_path
from keras_tnt.utils.memory import keep_freed_memory

__all__ = ["main"]

COMMANDS = (
    demo,
    train,
    evaluate,
    predict,
    attention,
    app,
    export,
    convert,
    show_augmentation,
    benchmark,
)

# Errors of the user, if the package itself raises them. From Keras, TensorFlow or
# Python they are bugs, because the package checks all input.
CHECKED_ERRORS = (FloatingPointError, ImportError, RuntimeError, ValueError)
PACKAGE = Path(__file__).parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the command line without the program's name; that of this process
            by default.

    Returns:
        The exit status: 0 on success, 1 on a user error, 128 + N if signal N stopped a
        training.

    Raises:
        Exception: a bug; with ``--debug``, every error.

    Example:
        >>> from keras_tnt.cli import main
        >>> main(["predict", "no_such_image.jpg"])
        1
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names may not be in its encoding
            stream.reconfigure(errors="replace")
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    keep_freed_memory()
    try:
        if getattr(options, "out", None):
            local_path(options.out)  # fails before the work starts
        return options.run(options) or 0
    except TrainingInterrupted as stopped:
        print(f"keras-tnt: {stopped}", file=sys.stderr)
        return 128 + stopped.signal
    except (OSError, *CHECKED_ERRORS) as error:
        if options.debug or not _is_user_error(error):
            raise
        print(f"keras-tnt: {error}", file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras-tnt", description="Transformer in Transformer for Keras 3."
    )
    parser.add_argument("--version", action="version", version=__version__)
    debug = {"action": "store_true", "help": "show the traceback of every error"}
    parser.add_argument("--debug", **debug)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_command(commands)
    for command_parser in commands.choices.values():
        command_parser.add_argument("--debug", default=argparse.SUPPRESS, **debug)
    return parser


def _is_user_error(error):
    """Whether a user can fix an error; any other is a bug."""
    if isinstance(error, OSError):
        return True
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    code = last.tb_frame.f_code
    is_raised = dis.opname[code.co_code[last.tb_lasti]] == "RAISE_VARARGS"
    return is_raised and Path(code.co_filename).is_relative_to(PACKAGE)
