"""`keras-tnt attention`."""

import argparse
from pathlib import Path

import numpy as np

from keras_tnt.cli.options import add_orientation_option
from keras_tnt.export.load_exported import find_format
from keras_tnt.images import load_image
from keras_tnt.inference import classify, load_classifier, prepare
from keras_tnt.utils.files import create_or_next_directory
from keras_tnt.visualization import (
    attention_maps,
    block_map,
    most_attended_patch,
    plot_attention_heads,
    plot_attention_overlays,
    plot_inner_attention,
)
from keras_tnt.visualization.figure import require_matplotlib
from keras_tnt.visualization.image_maps import default_blocks


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    attention = commands.add_parser(
        "attention", help="plot the attention of a model in an image"
    )
    attention.add_argument("image", metavar="IMAGE", help="an image file")
    attention.add_argument(
        "--model",
        default="tnt_small",
        help="a run directory, a .keras file, tnt_small (the default) or tnt_base with "
        "ImageNet weights",
    )
    attention.add_argument(
        "--out", help="a new directory; by default attention, attention-2, …"
    )
    attention.add_argument(
        "--blocks",
        type=_numbers,
        metavar="NUMBERS",
        help="blocks to plot, such as 1,6,12; first, middle and last by default",
    )
    attention.add_argument(
        "--patch",
        type=_place,
        metavar="ROW,COLUMN",
        help="patch, counted from 0, whose inner attention is plotted; the most "
        "attended one by default",
    )
    add_orientation_option(attention)
    attention.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    require_matplotlib()
    original = load_image(options.image, not options.ignore_orientation)
    _check_no_export(options.model)
    classifier = load_classifier(options.model)
    image = np.asarray(prepare(classifier, original))
    maps = attention_maps(classifier.model, image[None])
    last = max(maps.outer)
    blocks = options.blocks or default_blocks(maps.outer)
    patch = options.patch or most_attended_patch(maps, last)
    for block in blocks:  # raises errors before the directory is created
        block_map(maps, block)
    block_map(maps, 1, patch)

    (((best, score),),) = classify(classifier, image[None], top=1)
    title = f"{best} {score:.0%}"
    directory = create_or_next_directory(options.out, "attention")
    plot_attention_overlays(maps, image, blocks, directory / "overlay.png", title)
    plot_attention_heads(maps, image, blocks, directory / "heads.png")
    print(f"{directory / 'overlay.png'}  attention of blocks {_list(blocks)}")
    print(f"{directory / 'heads.png'}  the same for each head")
    inner = [block for block in blocks if block in maps.inner]
    if inner:
        plot_inner_attention(maps, image, inner, patch, directory / "patch.png")
        print(f"{directory / 'patch.png'}  inside patch {_list(patch)}")
    else:
        print(f"There is no inner transformer in blocks {_list(blocks)}.")


def _check_no_export(source):
    path = Path(source)
    if path.exists() and find_format(path)[0] not in (None, "keras"):
        raise ValueError(
            f"{source!r} is an exported model, which does not return its attention. "
            "Pass the run directory or the .keras file that it was exported from."
        )


def _numbers(text):
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected numbers such as 1,6,12, got {text!r}"
        ) from None


def _place(text):
    numbers = _numbers(text)
    if len(numbers) != 2:
        raise argparse.ArgumentTypeError(
            f"expected a row and a column such as 3,7, got {text!r}"
        )
    return tuple(numbers)


def _list(numbers):
    return ", ".join(str(number) for number in numbers)
