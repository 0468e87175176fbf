"""`keras-tnt app`."""

import argparse
import signal

from keras_tnt.cli.options import add_orientation_option


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    app = commands.add_parser("app", help="a web page to try a model on images")
    app.add_argument(
        "--model",
        default="tnt_small",
        help="a run directory, a .keras file, an exported model of any format, or "
        "tnt_small (the default) or tnt_base with ImageNet weights",
    )
    app.add_argument(
        "--examples",
        metavar="FOLDER",
        help="images to choose from (those of a run of the demo)",
    )
    app.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at (127.0.0.1: for this machine only)",
    )
    app.add_argument("--port", type=int, default=7860, help="port (7860)")
    add_orientation_option(app)
    app.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from keras_tnt.app import serve

    # However it ends, the images that it was given are deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    serve(
        options.model,
        options.examples,
        options.host,
        options.port,
        apply_orientation=not options.ignore_orientation,
    )
